"""The paper's numbers are data with a source, and a cell that is not there is not guessed."""

import pytest

from featx.data_manifests.facts.read import read_facts
from featx.paper.tables import TABLES, read_paper_table


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_source_and_sound_rows(name: str) -> None:
    table = read_paper_table(name)
    assert "2112.04478v1, table" in table.source and table.title and table.protocol
    keys = [
        tuple(getattr(row, key) for key in type(row).model_fields if key != "metrics") for row in table.rows
    ]
    assert len(set(keys)) == len(keys)
    for row in table.rows:
        assert read_facts(row.data_set).name == row.data_set
        assert row.metrics and all(0 < value < 100 for value in row.metrics.values())
        if {"top1", "top5"} <= set(row.metrics):
            assert row.metrics["top1"] < row.metrics["top5"]


def test_tables_that_share_a_row_agree() -> None:
    closed, ablation = read_paper_table("closed-set"), read_paper_table("ablation")
    for data_set in ("kinetics400", "kinetics700"):
        key = {"data_set": data_set, "prompts": 16, "layers": 2}
        assert closed.find(**key).metrics == ablation.find(**key).metrics


def test_a_missing_or_ambiguous_cell_is_none() -> None:
    table = read_paper_table("few-shot")
    assert table.find(data_set="hmdb51", method="zero-shot", ways=5).metrics == {"top1": 68.9}
    assert table.find(data_set="kinetics700", ways=5) is None
    assert table.find(data_set="hmdb51", ways=5) is None


@pytest.mark.parametrize("name", ["hmdb51", "ucf101", "kinetics400", "kinetics700"])
def test_facts(name: str) -> None:
    facts = read_facts(name)
    for counts in facts.counts.values():
        assert facts.test_split in counts and all(count > 0 for count in counts.values())
