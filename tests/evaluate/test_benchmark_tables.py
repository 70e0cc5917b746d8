"""The paper's numbers stand only beside results about the same thing; what is not known is a dash."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from featx.evaluate.report.paper.read import TABLES, read_paper_table
from featx.evaluate.report.table import EMPTY, FORMATS, PlusMinus, Table, render
from featx.evaluate.tables.benchmarks import benchmark_table, choose_results
from featx.evaluate.tables.paper_rows import paper_settings, same_settings
from featx.scoring.results import FewShot, Item, Results, TrainedOn, Videos, summarise, write_results

FINGERPRINT = {"model": "ViT-B/16", "dtype": "float16", "precision": "fp16"}
ADAPTER = {
    "prompts": 16,
    "layers": 2,
    "positions": True,
    "layout": "sequence",
    "suffix": True,
    "clip_frames": 16,
    "template": None,
}


def results_of(**changes: object) -> Results:
    fields: dict[str, object] = {
        "task": "recognition", "run": "runs/ours", "date": "2026-05-04T10:00:00+00:00", "config": ADAPTER,
        "learned_parameters": 6352384, "data_set": "hmdb51", "manifest": "m.jsonl", "store": "s", "split": "test",
        "clips": 5, "classes": 51, "fingerprint": FINGERPRINT, "videos": Videos(scored=1400, missing=["a"] * 130),
        "metrics": {"top1": 0.67, "top5": 0.925, "mean_class": 0.66},
        "trained_on": TrainedOn(data_set="hmdb51", classes=[str(n) for n in range(51)]),
    }  # fmt: skip
    return Results(**fields | changes)


def few_shot_of(episodes: int, ways: int, **changes: object) -> Results:
    items = [
        Item(name=f"split_{n}", scored=475, metrics={"top1": 0.8 + 0.01 * (n % 3)}) for n in range(episodes)
    ]
    metrics, spread = summarise(items)
    words = {"few_shot": FewShot(episodes="5way.jsonl", ways=ways, shots=5), "trained_on": None, "classes": 5}
    changed = results_of(**words | changes)
    return changed.model_copy(update={"items": items, "metrics": metrics, "spread": spread, "split": "5way"})


def rows_of(kind: str, *all_results: Results) -> list[dict[str, Any]]:
    return json.loads(render(benchmark_table(kind, list(all_results)), "json"))["rows"]


def test_the_papers_number_and_the_difference_stand_beside_ours() -> None:
    (row,) = rows_of("closed-set", results_of())
    assert row["top-1 %"] == 67.0 and row["paper top-1"] == 66.4 and row["top-1 difference"] == "+0.6"
    assert row["paper avg"] == pytest.approx((66.4 + 92.1) / 2)
    assert (
        row["scored"] == "1400/1530"
        and row["date"] == "2026-05-04"
        and row["features"].startswith("ViT-B/16 ")
    )
    text = render(benchmark_table("closed-set", [results_of()]), "markdown")
    assert "arXiv 2112.04478v1, table 2" in text and "1400 of 1530 video scorings done, 130 missing" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": FINGERPRINT | {"model": "tiny"}},
        {"split": "val"},
        {"classes": 50},
        {"config": ADAPTER | {"clip_frames": 8}},
        {"config": ADAPTER | {"suffix": False}},
        {"config": ADAPTER | {"template": "a video of {}"}},
    ],
    ids=str,
)
def test_beside_anything_else_there_is_none(changes: dict[str, object]) -> None:
    learned = TrainedOn(data_set=str(changes.get("data_set", "hmdb51")), classes=["a"])
    results = results_of(**{"trained_on": learned} | changes)
    (row,) = rows_of("closed-set", results)
    assert row["top-1 %"] == 67.0
    assert row["paper top-1"] is row["paper top-5"] is row["top-1 difference"] is None
    text = render(benchmark_table("closed-set", [results]), "markdown")
    assert f"| 67.0 | {EMPTY} | {EMPTY} |" in text and "no number of the paper" in text


def test_a_data_set_that_the_paper_does_not_have_has_no_columns_for_it() -> None:
    results = results_of(
        data_set="moving-shapes", trained_on=TrainedOn(data_set="moving-shapes", classes=["a"])
    )
    (row,) = rows_of("closed-set", results)
    assert not any("paper" in column or "difference" in column for column in row)
    assert "no number of the paper" in render(benchmark_table("closed-set", [results]), "table")


def test_other_prompts_have_no_number_but_the_papers_row_stays() -> None:
    rows = rows_of("closed-set", results_of(config=ADAPTER | {"layers": 1}))
    assert [(row["run"], row["top-1 %"], row["paper top-1"]) for row in rows] == [
        (None, None, 66.4),
        ("ours", 67.0, None),
    ]


def test_the_ablation_has_the_papers_rows_and_dashes_where_we_have_nothing() -> None:
    learned = TrainedOn(data_set="kinetics700", classes=["a"])
    ours = results_of(
        data_set="kinetics700",
        split="val",
        classes=700,
        trained_on=learned,
        config=ADAPTER | {"prompts": 8, "layers": 0, "positions": False},
    )
    probe = ours.model_copy(update={"method": "linear-probe", "config": {"c": 0.3}, "run": "runs/probe"})
    rows = rows_of("ablation", ours, probe)
    assert [row["data set"].split()[0] for row in rows] == ["kinetics700"] * 10
    known = {row["learned"]: row for row in rows}
    assert known["prompts 8+X+8"]["paper top-1"] == 57.4 and known["prompts 8+X+8"]["top-1 %"] == 67.0
    assert known["linear-probe"]["paper avg"] == 66.1 and known["linear-probe"]["paper top-1"] is None
    assert known["linear-probe"]["avg difference"] == f"{(67 + 92.5) / 2 - 66.1:+.1f}"
    assert known["prompts 16+X+16, Transformer 4 layers"]["top-1 %"] is None
    assert known["prompts 16+X+16, Transformer 4 layers"]["paper top-1"] == 64.9


def test_positions_without_a_transformer_are_not_the_papers_rows_without_one() -> None:
    learned = TrainedOn(data_set="kinetics700", classes=["a"])
    ours = results_of(data_set="kinetics700", split="val", classes=700, trained_on=learned)
    before = {
        key: value for key, value in ADAPTER.items() if key != "positions"
    }  # then they always were learned
    for config in (ADAPTER | {"layers": 0}, before | {"layers": 0}):
        (row,) = [
            one for one in rows_of("ablation", ours.model_copy(update={"config": config})) if one["run"]
        ]
        assert row["learned"] == "prompts 16+X+16, positions" and row["paper top-1"] is None
    (row,) = [one for one in rows_of("ablation", ours.model_copy(update={"config": before})) if one["run"]]
    assert row["learned"] == "prompts 16+X+16, Transformer 2 layers" and row["paper top-1"] == 64.7


def test_few_shot_rows_say_ways_shots_episodes_and_the_interval() -> None:
    prompts = ADAPTER | {"layers": 0, "positions": False}
    ours = few_shot_of(200, 5, config=prompts)
    fewer = few_shot_of(50, 5, config=prompts, run="runs/fewer")
    rows = {row["run"]: row for row in rows_of("few-shot", ours, fewer)}
    assert rows["ours"]["paper top-1"] == 85.3 and rows["ours"]["episodes"] == 200
    assert rows["ours"]["top-1 % ±"] == pytest.approx(100 * ours.spread["top1"].interval95)
    assert rows["fewer"]["paper top-1"] is None  # another protocol
    assert "± 95% confidence interval" in render(benchmark_table("few-shot", [ours]), "table")
    (row,) = [row for row in rows_of("few-shot", few_shot_of(10, 0)) if row["run"]]
    assert row["ways"] == "all" and row["paper top-1"] == 56.6


def test_open_set_numbers_belong_to_the_unseen_300_classes() -> None:
    learned = TrainedOn(data_set="kinetics700", classes=[str(n) for n in range(400)])
    ours = results_of(
        data_set="kinetics700", split="val", classes=300, class_set="unseen", class_split="k700.jsonl#split_0",
        trained_on=learned, config=ADAPTER | {"layers": 0, "positions": False},
    )  # fmt: skip
    together = ours.model_copy(
        update={"class_set": "all", "classes": 700,
                "metrics": ours.metrics | {"seen_top1": 0.6, "unseen_top1": 0.4, "harmonic_top1": 0.48}}
    )  # fmt: skip
    rows = [row for row in rows_of("open-set", ours, together) if row["run"]]
    assert [(row["paper top-1"], row["harmonic %"]) for row in rows] == [(58.4, None), (None, 48.0)]
    assert (
        rows[0]["tested on"] == "300 unseen classes" and rows[0]["learned on"] == "kinetics700, 400 classes"
    )
    fewer = ours.model_copy(update={"trained_on": learned.model_copy(update={"classes": ["a"]})})
    assert not same_settings(fewer)
    elsewhere = ours.model_copy(update={"trained_on": learned.model_copy(update={"data_set": "kinetics400"})})
    assert not same_settings(elsewhere)


def test_seeds_are_shown_with_their_deviation() -> None:
    items = [
        Item(name=f"seed {n}", scored=1400, metrics={"top1": v, "top5": v}) for n, v in enumerate((0.6, 0.7))
    ]
    metrics, spread = summarise(items)
    seeds = results_of(variant="layers=2").model_copy(
        update={"items": items, "metrics": metrics, "spread": spread}
    )
    (row,) = rows_of("closed-set", seeds)
    assert row["top-1 %"] == pytest.approx(65) and row["top-1 % ±"] == pytest.approx(100 * 0.1 / 2**0.5)
    assert row["run"] == "ours layers=2"


def test_every_format_shows_every_cell_and_dashes_for_missing_ones() -> None:
    table = Table(
        "A & B", ["name", "x %", "y"], [["a<b", PlusMinus(50.04, 1.25), None], ["c_d", 7.0, 1234]], ["n > 1"]
    )
    shown = {format: render(table, format) for format in FORMATS}
    for format in ("table", "markdown", "latex", "html"):
        assert "50.0 ± 1.2" in shown[format] and EMPTY in shown[format] and "1,234" in shown[format]
    assert "<td>a&lt;b</td>" in shown["html"] and "A &amp; B" in shown["html"] and "n &gt; 1" in shown["html"]
    assert r"c\_d" in shown["latex"]
    first, second = csv.DictReader(io.StringIO(shown["csv"]))
    assert first == {"name": "a<b", "x %": "50.04", "x % ±": "1.25", "y": ""}
    assert second == {"name": "c_d", "x %": "7.0", "x % ±": "", "y": "1234"}
    assert json.loads(shown["json"])["rows"][0] == {"name": "a<b", "x %": 50.04, "x % ±": 1.25, "y": None}


def test_the_command_reads_and_never_scores(tmp_path: Path, featx) -> None:
    write_results(results_of(), tmp_path / "ours")
    (tmp_path / "none").mkdir()
    outcome = featx("table", "closed-set", tmp_path / "ours", "--format", "csv")
    assert outcome.code == 0 and "hmdb51 test,ours" in outcome.out
    cases = {
        f"no results yet; make them with: featx eval {tmp_path / 'none'}": ["closed-set", tmp_path / "none"],
        "has no open-set results; make them with: featx eval": ["open-set", tmp_path / "ours"],
        "has no few-shot results; make them with: featx train --episodes": ["few-shot", tmp_path / "ours"],
        "has no closed-set results of split 'val'": ["closed-set", tmp_path / "ours", "--split", "val"],
        "no such folder": ["closed-set", tmp_path / "nowhere"],
        "did you mean 'few-shot'": ["fewshot", tmp_path / "ours"],
        "--format htm: must be one of": ["closed-set", tmp_path / "ours", "--format", "htm"],
    }
    for message, words in cases.items():
        outcome = featx("table", *words)
        assert outcome.code == 2 and message in outcome.err, (message, outcome.err)
        assert outcome.err.count("\n") == 1
    (chosen,) = choose_results("closed-set", "r", [results_of(), few_shot_of(2, 5)], None)
    assert chosen.few_shot is None


def said_to_be_left_out(said: str) -> list[str]:
    """Lines of standard error, where the other notes of a CSV are said too."""
    return [line for line in said.splitlines() if line.startswith("left out: ")]


def test_what_has_no_results_is_left_out_by_name(tmp_path: Path, featx) -> None:
    """`runs/*`: one run is scored, one is not yet, one is about few shots, one is a folder of runs, one no run."""
    runs = tmp_path / "runs"
    write_results(results_of(), runs / "a")
    (runs / "b").mkdir()
    write_results(few_shot_of(2, 5), runs / "c")
    write_results(results_of(), runs / "d" / "seed-0")
    (runs / "sweep.csv").write_text("x\n")
    named = sorted(runs.iterdir())
    outcome = featx("table", "closed-set", *named, "--format", "csv")
    assert outcome.code == 0 and [row["run"] for row in csv.DictReader(io.StringIO(outcome.out))] == ["a"]
    left_out = said_to_be_left_out(outcome.err)
    assert said_to_be_left_out(featx("table", "closed-set", *named, "--format", "json").err) == left_out
    assert [line.split(": ")[1] for line in left_out] == [str(path) for path in named if path.name != "a"]
    assert f"make them with: featx eval {runs / 'b'}" in left_out[0]
    assert "has no closed-set results" in left_out[1]
    assert f"featx table closed-set {runs / 'd'}/*" in left_out[2]
    assert f"left out: {runs / 'b'}: no results yet" in featx("table", "closed-set", *named).out
    assert featx("table", "closed-set", *named, tmp_path / "typo").code == 2
    outcome = featx("table", "closed-set", runs / "b", runs / "c")
    assert outcome.code == 2 and "no results yet" in outcome.err and "and 1 more without" in outcome.err


def test_a_sweep_is_shown_by_its_folder_and_by_what_is_in_it(tmp_path: Path, featx) -> None:
    sweep = tmp_path / "ablation"
    for cell in ("prompts=2", "prompts=4"):
        write_results(results_of(variant=cell), sweep)
        write_results(results_of(), sweep / cell / "seed-0")
    (sweep / "sweep.csv").write_text("x\n")
    by_folder = featx("table", "ablation", sweep, "--format", "csv").out
    by_files = featx("table", "ablation", *sorted(sweep.iterdir()), "--format", "csv")
    assert by_files.out == by_folder and by_files.out.count("\n") == 3 + by_folder.count("no such row")
    twice = featx("table", "ablation", sweep, *sorted(sweep.iterdir()), "--format", "csv")
    assert twice.out == by_folder
    left_out = [line.split(": ")[1] for line in said_to_be_left_out(by_files.err)]
    assert left_out == [str(path) for path in sorted(sweep.iterdir()) if not path.match("results-*.json")]
    hint = featx("eval", sweep).err  # the hint leads on, not back
    assert f"featx table ablation {sweep}" in hint


def test_nothing_is_said_not_framed() -> None:
    assert render(Table("Most confused pairs", ["a", "b"], [], ["a note"]), "table") == (
        "Most confused pairs: none\na note"
    )


def test_printing_a_table_does_not_load_torch(tmp_path: Path) -> None:
    write_results(results_of(), tmp_path)
    script = (
        "import sys\nfrom featx.cli import main\n"
        f"sys.argv = ['featx', 'table', 'closed-set', {str(tmp_path)!r}]\n"
        "main()\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_settings_of_the_paper_cover_its_tables() -> None:
    settings = paper_settings()
    for name in TABLES:
        for row in read_paper_table(name).rows:
            assert row.data_set in settings.split
            assert row.data_set in settings.classes or name == "retrieval"
            assert row.ways is None or row.ways in settings.episodes
