"""A sweep is its cells' runs: means over seeds, gone on with where it stopped, shown by the ablation table."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from featx.localisation.detector import DETECTOR_FILE, read_detector_header
from featx.model.adapter import ADAPTER_FILE, read_header
from featx.scoring.results import read_results


@pytest.fixture
def recipe(class_data: Path, tmp_path: Path) -> Path:
    file = tmp_path / "recipe.toml"
    file.write_text(
        f'store = "{class_data / "features"}"\nmanifest = "{class_data / "manifest.jsonl"}"\nsteps = 5\nbatch_size = 8\n'
        'strides = [1]\nstride_weights = [1]\nlearning_rate = 1e-2\ndevice = "cpu"\n'
    )
    return file


def test_sweep(recipe: Path, tmp_path: Path, featx) -> None:
    to = tmp_path / "sweep"
    words = ["sweep", recipe, "--grid", "prompts=1,2", "layers=0,1", "--seeds", 2, "--to", to]
    # a part of it first, as if it had been interrupted; then all: what is there is left as it is
    assert featx("sweep", recipe, "--grid", "prompts=2", "layers=0", "--to", to).code == 0
    kept = to / "prompts=2,layers=0" / "seed-0" / "adapter.safetensors"
    before = kept.stat().st_mtime_ns
    outcome = featx(*words)
    assert outcome.code == 0, outcome.err
    assert kept.stat().st_mtime_ns == before
    results = read_results(to)
    assert [one.variant for one in results] == [
        f"prompts={prompts},layers={layers}" for prompts in (1, 2) for layers in (0, 1)
    ]
    for one in results:
        values = [item.metrics["top1"] for item in one.items]
        assert len(values) == 2 and one.videos.scored == 120
        assert one.metrics["top1"] == pytest.approx(np.mean(values))
        assert one.spread["top1"].std == pytest.approx(np.std(values, ddof=1))
        run = to / one.variant / "seed-1"
        (written,) = read_results(run)
        assert featx("eval", run, "--device", "cpu").code == 0
        (again,) = read_results(run)
        assert again.model_dump(exclude={"date"}) == written.model_dump(exclude={"date"})
    with (to / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["prompts"], row["layers"], row["seeds"]) for row in rows] == [
        (prompts, layers, "2") for prompts in "12" for layers in "01"
    ]
    for row, one in zip(rows, results, strict=True):
        assert float(row["top1"]) == pytest.approx(100 * one.metrics["top1"], abs=1e-3)
        assert float(row["top1_std"]) == pytest.approx(100 * one.spread["top1"].std, abs=1e-3)
    outcome = featx("table", "ablation", to, "--format", "csv")
    assert outcome.code == 0 and outcome.out.count("prompts=") == 4, outcome.err


def test_bad_grids_are_named(recipe: Path, tmp_path: Path, featx) -> None:
    for grid, message in [
        ("promts=1", "did you mean 'prompts'"),
        ("seed=1,2", "--seeds"),
        ("prompts=", "key=value"),
    ]:
        outcome = featx("sweep", recipe, "--grid", grid, "--to", tmp_path / "no")
        assert outcome.code == 2 and message in outcome.err
    outcome = featx("sweep", recipe, "--grid", "prompts=1,90", "--to", tmp_path / "no")
    assert outcome.code == 2 and "prompts=90" in outcome.err and not (tmp_path / "no").exists()


def test_class_splits_are_learned_seen_and_scored_unseen(
    recipe: Path, class_data: Path, tmp_path: Path, featx
) -> None:
    manifest, splits, to = class_data / "manifest.jsonl", tmp_path / "splits.jsonl", tmp_path / "sweep"
    words = ["manifest", "class-split", "--manifest", manifest, "--to", splits, "--seen", 0.5, "--splits", 3]
    assert featx(*words).code == 0
    outcome = featx("sweep", recipe, "--class-splits", splits, "--grid", "layers=0,1", "--to", to)
    assert outcome.code == 0, outcome.err
    results = read_results(to)
    assert [one.variant for one in results] == ["layers=0", "layers=1"]
    for one in results:
        assert [item.name for item in one.items] == ["split_0", "split_1", "split_2"]
        assert one.class_set == "unseen" and one.videos.scored == 90 and one.classes == 3
        values = []
        for item in one.items:
            run = to / one.variant / item.name / "seed-0"
            assert featx("eval", run, "--classes", "unseen", "--class-split", splits, "--class-split-name", item.name, "--device", "cpu").code == 0  # fmt: skip
            values += [again.metrics["top1"] for again in read_results(run)]
        assert [item.metrics["top1"] for item in one.items] == pytest.approx(values)
        assert one.spread["top1"].std == pytest.approx(np.std(values, ddof=1))
    outcome = featx("table", "open-set", to, "--format", "csv")
    assert outcome.code == 0 and outcome.out.count("prompts") >= 2, outcome.err


def test_localisation_learns_a_detector_and_an_adapter_for_each_class_split(
    segment_data: Path, tmp_path: Path, featx
) -> None:
    manifest, splits, to = segment_data / "manifest.jsonl", tmp_path / "splits.jsonl", tmp_path / "sweep"
    data = f'store = "{segment_data / "features"}"\nmanifest = "{manifest}"\ndevice = "cpu"\n'
    recipe, detector = tmp_path / "recipe.toml", tmp_path / "detector.toml"
    recipe.write_text(
        f'{data}task = "localisation"\nsteps = 5\nbatch_size = 8\nstrides = [1]\nstride_weights = [1]\nclip_frames = 8\n'
    )
    detector.write_text(
        f'{data}task = "proposals"\ngrid_step_s = 0.1\nwidth = 16\nheads = 2\nlevels = 4\nwindow = 5\nstem = 0\n'
        "steps = 5\nwarmup = 1\nbatch_size = 2\nkeep = 20\nmin_score = 0\n"
    )
    words = ["manifest", "class-split", "--manifest", manifest, "--to", splits, "--seen", 0.5, "--splits", 2]
    assert featx(*words).code == 0
    words = [
        "sweep",
        recipe,
        "--class-splits",
        splits,
        "--detector",
        detector,
        "--grid",
        "prompts=0,1",
        "layers=0",
    ]
    outcome = featx(*words, "--to", to)
    assert outcome.code == 0, outcome.err
    results = read_results(to)
    assert [one.variant for one in results] == ["prompts=0,layers=0", "prompts=1,layers=0"]
    for one in results:
        assert one.task == "localisation" and one.class_set == "unseen" and len(one.items) == 2
        for item in one.items:
            run = to / one.variant / item.name / "seed-0"
            (written,) = read_results(run)
            proposals = to / "detectors" / item.name / "proposals-test.json"
            assert written.localisation.proposals == str(proposals)
            assert read_detector_header(proposals.parent / DETECTOR_FILE).classes.keys() == set(written.trained_on.classes if written.trained_on else read_header(run / ADAPTER_FILE).classes)  # fmt: skip
            again = featx("eval", run, "--proposals", proposals, "--classes", "unseen", "--class-split", splits, "--class-split-name", item.name, "--device", "cpu")  # fmt: skip
            assert again.code == 0, again.err
            (scored,) = read_results(run)
            assert scored.metrics == pytest.approx(written.metrics) and scored.metrics == pytest.approx(
                item.metrics
            )
    before = {file: file.stat().st_mtime_ns for file in to.glob("detectors/*/*")}
    assert featx(*words, "--to", to).code == 0
    assert before == {file: file.stat().st_mtime_ns for file in to.glob("detectors/*/*")}
    outcome = featx("table", "localisation-open", to, "--format", "csv")
    assert outcome.code == 0 and "mAP avg" in outcome.out and outcome.out.count("zero-shot") == 1, outcome.err
    outcome = featx("sweep", recipe, "--grid", "layers=0", "--to", tmp_path / "no")
    assert outcome.code == 2 and "--test-proposals" in outcome.err
    strange = tmp_path / "strange.json"
    empty = {"start_s": [], "end_s": [], "score": []}
    content = {f"test-{number}.mp4": empty for number in range(20)}
    content["test-0.mp4"] = {"start_s": [0], "end_s": [1], "score": [7]}
    strange.write_text(json.dumps({"videos": content}))
    words = ["sweep", recipe, "--grid", "layers=0", "--test-proposals", strange, "--to", tmp_path / "strange"]
    outcome = featx(*words)  # refused as featx eval refuses it
    assert outcome.code == 2 and f"--test-proposals {strange}: scores must be" in outcome.err
    outcome = featx(
        "sweep", recipe, "--grid", "layers=0", "--test-proposals", "ground-truth", "--to", tmp_path / "bound"
    )
    assert outcome.code == 0, outcome.err
    (bound,) = read_results(tmp_path / "bound")
    assert bound.localisation.proposals == "ground-truth" and bound.metrics["proposals_average_map"] == 1
