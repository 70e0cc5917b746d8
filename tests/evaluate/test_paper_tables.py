"""The paper's numbers are data with a source, and a cell that is not there is not guessed."""

import pytest

from featx.data_manifests.official.info.read import read_dataset_info
from featx.evaluate.report.paper.read import (
    LOCALISATION_TABLES,
    TABLES,
    read_paper_settings,
    read_paper_table,
)
from featx.localisation.metrics.average_precision import ACTIVITYNET_TIOU, THUMOS14_TIOU


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_source_and_sound_rows(name: str) -> None:
    table = read_paper_table(name)
    quoted = name == "localisation-open"
    assert ("2112.04478; numbers as quoted" if quoted else "2112.04478v1, table") in table.source
    assert table.title and table.protocol
    keys = [
        tuple(getattr(row, key) for key in type(row).model_fields if key != "metrics") for row in table.rows
    ]
    assert len(set(keys)) == len(keys)
    for row in table.rows:
        assert read_dataset_info(row.data_set).name == row.data_set
        assert row.metrics and all(0 < value < 100 for value in row.metrics.values())
        if {"top1", "top5"} <= set(row.metrics):
            assert row.metrics["top1"] < row.metrics["top5"]


def test_tables_that_share_a_row_agree() -> None:
    closed, ablation = read_paper_table("closed-set"), read_paper_table("ablation")
    for data_set in ("kinetics400", "kinetics700"):
        key = {"data_set": data_set, "prompts": 16, "layers": 2}
        assert closed.find(**key).metrics == ablation.find(**key).metrics


@pytest.mark.parametrize("name", LOCALISATION_TABLES)
def test_localisation_rows_are_sound(name: str) -> None:
    """Precision falls as the overlap grows, and THUMOS14's averages are those of the overlaps, up to rounding."""
    settings = read_paper_settings()
    for row in read_paper_table(name).rows:
        info = read_dataset_info(row.data_set)
        assert settings.split[row.data_set] == info.test_split
        assert settings.classes[row.data_set] == info.class_count
        assert row.seen is None or 0 < row.seen < info.class_count
        values = {key: value for key, value in row.metrics.items() if key != "average_map"}
        assert list(values.values()) == sorted(values.values(), reverse=True)
        known = {f"map@{overlap:g}" for overlap in (*THUMOS14_TIOU, *ACTIVITYNET_TIOU)}
        assert values.keys() <= known
        if row.data_set == "thumos14":
            assert sum(values.values()) / 5 == pytest.approx(row.metrics["average_map"], abs=0.1)


def test_a_missing_or_ambiguous_cell_is_none() -> None:
    table = read_paper_table("few-shot")
    assert table.find(data_set="hmdb51", method="zero-shot", ways=5).metrics == {"top1": 68.9}
    assert table.find(data_set="kinetics700", ways=5) is None
    assert table.find(data_set="hmdb51", ways=5) is None


@pytest.mark.parametrize(
    "name", ["hmdb51", "ucf101", "kinetics400", "kinetics700", "thumos14", "activitynet"]
)
def test_facts(name: str) -> None:
    info = read_dataset_info(name)
    for counts in info.counts.values():
        assert info.test_split in counts and all(count > 0 for count in counts.values())
