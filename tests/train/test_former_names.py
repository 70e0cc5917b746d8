"""What `learning_rate` and `batch_size` were called before, `rate` and `batch`, is still understood everywhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from featx.errors import FeatxError
from featx.files.digest import read_json, write_json
from featx.localisation.detector import DETECTOR_FILE, load_detector, save_detector
from featx.model.adapter import ADAPTER_FILE, load_adapter, read_header, save_adapter
from featx.scoring.results import read_results
from featx.settings import gather
from featx.train.adapter.settings import TrainSettings
from featx.train.engine.checkpoint import Checkpoint, Checkpoints, read_checkpoint

FORMER = {"batch_size": "batch", "learning_rate": "rate"}
QUICK = ["--prompts", 1, "--layers", 0, "--strides", "1", "--stride-weights", "1", "--device", "cpu"]
NOW, THEN = (
    ["--batch-size", 6, "--learning-rate", 0.01],
    ["--batch", 6, "--set", "rate=0.01"],
)


def as_before(settings: dict[str, Any]) -> dict[str, Any]:
    return {FORMER.get(name, name): value for name, value in settings.items()}


def age(run: Path) -> None:
    """Rewrites a run's files as a featx of before had written them."""
    if (run / ADAPTER_FILE).exists():
        adapter, header = load_adapter(run / ADAPTER_FILE)
        save_adapter(
            run / ADAPTER_FILE, adapter, header.model_copy(update={"settings": as_before(header.settings)})
        )
    if (run / DETECTOR_FILE).exists():
        detector, about = load_detector(run / DETECTOR_FILE)
        save_detector(
            run / DETECTOR_FILE, detector, about.model_copy(update={"settings": as_before(about.settings)})
        )
    for name in ("summary.json", "episodes.json", "sweep.json", "baseline.json"):
        if (run / name).exists():
            content = read_json(run / name, "")
            whole = content.get("identity") or content
            whole["settings"] = as_before(whole["settings"])
            if "grid" in content:
                content["grid"] = [FORMER.get(key, key) for key in content["grid"]]
            write_json(run / name, content, indent=2)
    checkpoints = Checkpoints(run)
    for file in checkpoints.files():
        found = read_checkpoint(file)
        assert found is not None
        found.record["identity"]["settings"] = as_before(found.record["identity"]["settings"])
        file.unlink()
        checkpoints.save(found.record["progress"]["step"], Checkpoint(found.record, found.tensors))


def data(folder: Path) -> list[object]:
    return ["--store", folder / "features", "--manifest", folder / "manifest.jsonl"]


def test_recipes_options_and_set(class_data: Path, tmp_path: Path, featx) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'store = "{class_data}"\nmanifest = "m"\nbatch = 6\nrate = 1e-2\n')
    settings = gather(TrainSettings, recipe, {"batch": 7}, [])
    assert (settings.batch_size, settings.learning_rate) == (7, 0.01)
    assert gather(TrainSettings, recipe, {"batch_size": 8}, ["rate=1"]).learning_rate == 1
    with pytest.raises(FeatxError, match="--rate 1: learning_rate is the same setting; leave rate out"):
        gather(TrainSettings, recipe, {"rate": 1, "learning_rate": 1}, [])
    with pytest.raises(FeatxError, match="--batch 0: .*greater than or equal to 1"):
        gather(TrainSettings, recipe, {"batch": 0}, [])
    for command in ("train", "sweep", "eval"):
        shown = featx(command, "--help").out
        assert "--batch-size" in shown and "--batch " not in shown and "--rate " not in shown
    dry = featx("train", *data(class_data), *QUICK, *THEN, "--to", tmp_path / "run", "--dry-run")
    assert dry.code == 0 and "batch_size = 6\n" in dry.out and "learning_rate = 0.01\n" in dry.out, dry.err


def test_a_run_of_before_is_the_same_run(class_data: Path, tmp_path: Path, featx) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    words = ["train", *data(class_data), *QUICK]
    assert featx(*words, *NOW, "--steps", 4, "--to", run).code == 0
    age(run)
    before = (run / ADAPTER_FILE).read_bytes()
    assert read_header(run / ADAPTER_FILE).settings["rate"] == 0.01
    for spelled in (NOW, THEN):
        outcome = featx(*words, *spelled, "--steps", 4, "--to", run)
        assert outcome.code == 0 and (run / ADAPTER_FILE).read_bytes() == before, outcome.err
    other = featx(*words, "--batch", 6, "--rate", 0.5, "--steps", 4, "--to", run)
    assert other.code == 2 and "learning_rate was 0.01, is 0.5" in other.err
    assert "batch" not in other.err
    assert featx("eval", run, "--device", "cpu", "--batch", 3).code == 0
    further = featx(*words, *NOW, "--steps", 9, "--to", run)  # from the checkpoint that it has kept
    assert further.code == 0 and "going on after step 4 of 9" in further.err
    assert featx(*words, *THEN, "--steps", 9, "--to", whole).code == 0
    assert (run / ADAPTER_FILE).read_bytes() == (whole / ADAPTER_FILE).read_bytes()


def test_a_detector_of_before_is_the_same(segment_data: Path, tmp_path: Path, featx) -> None:
    run = tmp_path / "run"
    small = ["--task", "proposals", "--grid-step-s", 0.2, "--width", 8, "--heads", 1, "--levels", 3, "--window", 3,
             "--stem", 0, "--warmup", 1, "--steps", 3, "--device", "cpu"]  # fmt: skip
    words = ["train", *data(segment_data), *small, "--to", run]
    assert featx(*words, *NOW).code == 0
    age(run)
    before = (run / DETECTOR_FILE).read_bytes()
    for spelled in (NOW, THEN):
        outcome = featx(*words, *spelled)
        assert outcome.code == 0 and (run / DETECTOR_FILE).read_bytes() == before, outcome.err


def test_episodes_of_before_are_finished(class_data: Path, tmp_path: Path, featx) -> None:
    episodes, run = tmp_path / "episodes.jsonl", tmp_path / "run"
    words = ["manifest", "episodes", "--manifest", class_data / "manifest.jsonl", "--to", episodes]
    assert featx(*words, "--ways", 3, "--shots", 2, "--episodes", 2).code == 0
    words = ["train", *data(class_data), *QUICK, "--episodes", episodes, "--steps", 2, "--to", run]
    assert featx(*words, *NOW).code == 0
    age(run)
    for spelled in (NOW, THEN):
        outcome = featx(*words, *spelled)
        assert outcome.code == 0 and "2 episodes, 0 of them learned now" in outcome.err, outcome.err


def test_a_sweep_of_before_goes_on(class_data: Path, tmp_path: Path, featx) -> None:
    recipe, to = tmp_path / "recipe.toml", tmp_path / "sweep"
    store, manifest = class_data / "features", class_data / "manifest.jsonl"
    recipe.write_text(
        f'store = "{store}"\nmanifest = "{manifest}"\nsteps = 2\nbatch = 6\nlayers = 0\nprompts = 1\ndevice = "cpu"\n'
    )
    words = ["sweep", recipe, "--to", to, "--grid"]
    assert featx(*words, "rate=0.01").code == 0
    run = to / "rate=0.01" / "seed-0"
    age(run)
    age(to)
    before = (run / ADAPTER_FILE).read_bytes()
    outcome = featx(*words, "rate=0.01,0.1")
    assert outcome.code == 0 and (run / ADAPTER_FILE).read_bytes() == before, outcome.err
    assert [one.variant for one in read_results(to)] == ["rate=0.01", "rate=0.1"]
    assert json.loads((to / "sweep.json").read_text())["grid"] == ["learning_rate"]
    twice = featx(*words, "rate=0.01", "learning_rate=0.1")
    assert twice.code == 2 and "each key once" in twice.err


def test_a_baseline_of_before_is_the_same(class_data: Path, tmp_path: Path, featx) -> None:
    words = ["baseline", "zero-shot", *data(class_data), "--device", "cpu", "--to", tmp_path / "run"]
    assert featx(*words).code == 0
    from featx.evaluate.run.baseline_file import BASELINE_FILE, read_baseline, write_baseline

    header, tensors = read_baseline(tmp_path / "run" / BASELINE_FILE)
    aged = header.model_copy(update={"settings": as_before(header.settings)})
    assert "batch" in aged.settings
    write_baseline(tmp_path / "run", aged, tensors)
    outcome = featx(*words, "--batch-size", 3)
    assert outcome.code == 0, outcome.err
