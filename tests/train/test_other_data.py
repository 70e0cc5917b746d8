"""The same command with other data is refused, also where everything is finished: an old result is not a new one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome
from synthetic import make_episodes

from featx.manifest.videos import Manifest, read_manifest, write_manifest

QUICK = ["--prompts", 1, "--layers", 0, "--steps", 2, "--batch-size", 4, "--device", "cpu"]


@pytest.fixture
def other_manifest(class_data: Path, tmp_path: Path) -> Path:
    """The same name, classes and ids; one training video of each of two classes shows the other one."""
    manifest = read_manifest(class_data / "manifest.jsonl")
    one, other = (next(v for v in manifest.videos if v.label == label and v.split == "train") for label in manifest.labels[:2])  # fmt: skip
    swapped = {one.id: other.label, other.id: one.label}
    videos = [
        video.model_copy(update={"label": swapped.get(video.id, video.label)}) for video in manifest.videos
    ]
    write_manifest(Manifest(manifest.header, videos, tmp_path / "other.jsonl"))
    return tmp_path / "other.jsonl"


def check(
    featx: Callable, words: list[object], world: Path, other: Path, to: Path, detail: str, further: int = 0
) -> None:
    """Runs a command once, again (which is fine), and with other data, which must leave every file as it was.

    With ``further`` also with other data and so many steps, more of which alone the run may be given.
    """

    def run(manifest: Path, store: Path, *more: object) -> Outcome:
        return featx(*words, *more, "--store", store, "--manifest", manifest, "--to", to)

    manifest, store = world / "manifest.jsonl", world / "features"
    first = run(manifest, store)
    assert first.code == 0, first.err
    again = run(manifest, store)
    assert again.code == 0, again.err
    copied = other.with_name("copied.jsonl")
    shutil.copy(manifest, copied)
    assert run(copied, store).code == 0  # where the data lie does not matter
    there = {file: file.read_bytes() for file in to.rglob("*") if file.is_file() and file.name != "lock"}
    for more in [[], *([["--steps", further]] if further else [])]:
        outcome = run(other, store, *more)
        assert outcome.code == 2 and f"{to}: holds" in outcome.err and detail in outcome.err, outcome.err
    for absent in ((manifest, world / "absent"), (world / "absent.jsonl", store)):
        outcome = run(*absent)
        assert outcome.code == 2 and "absent" in outcome.err, outcome.err
    assert there == {
        file: file.read_bytes() for file in to.rglob("*") if file.is_file() and file.name != "lock"
    }
    if further:
        outcome = run(manifest, store, "--steps", further)
        assert outcome.code == 0 and "going on after step" in outcome.err, outcome.err


def test_a_finished_run(class_data: Path, other_manifest: Path, tmp_path: Path, featx) -> None:
    check(featx, ["train", *QUICK], class_data, other_manifest, tmp_path / "run", "list of videos was", 3)


def test_finished_episodes(class_data: Path, other_manifest: Path, tmp_path: Path, featx) -> None:
    episodes = tmp_path / "episodes.jsonl"
    make_episodes(read_manifest(class_data / "manifest.jsonl"), episodes, 1, 6, 3)
    words = ["train", "--episodes", episodes, *QUICK]
    check(featx, words, class_data, other_manifest, tmp_path / "run", "list of videos was")


def test_a_baseline(class_data: Path, other_manifest: Path, tmp_path: Path, featx) -> None:
    words = ["baseline", "nearest-mean"]
    check(featx, words, class_data, other_manifest, tmp_path / "run", "learned from other videos")


def test_a_sweep(class_data: Path, other_manifest: Path, tmp_path: Path, featx) -> None:
    recipe, to = tmp_path / "recipe.toml", tmp_path / "sweep"
    recipe.write_text('steps = 2\nbatch = 4\ndevice = "cpu"\nlayers = 0\n')
    given = ["--store", class_data / "features", "--to", to]
    manifest = ["--manifest", class_data / "manifest.jsonl"]
    assert featx("sweep", recipe, "--grid", "prompts=0,1", *given, *manifest).code == 0
    there = {file: file.read_bytes() for file in to.rglob("*.json")}
    for grid in ("prompts=0,1", "prompts=2"):  # the same cells, and a further one
        outcome = featx("sweep", recipe, "--grid", grid, *given, "--manifest", other_manifest)
        assert outcome.code == 2 and f"{to}: holds a sweep" in outcome.err and "list of videos" in outcome.err
    outcome = featx("sweep", recipe, "--grid", "prompts=2", *given, *manifest, "--set", "steps=3")
    assert outcome.code == 2 and "steps was 2, is 3" in outcome.err
    assert there == {file: file.read_bytes() for file in to.rglob("*.json")}
    outcome = featx("sweep", recipe, "--grid", "prompts=0", *given, *manifest)
    assert outcome.code == 0, outcome.err


def test_a_finished_detector(segment_data: Path, tmp_path: Path, featx) -> None:
    manifest = read_manifest(segment_data / "manifest.jsonl")
    first = next(video for video in manifest.videos if video.split == "train")
    moved = first.segments[0].model_copy(update={"start_s": first.segments[0].start_s + 0.5})
    changed = first.model_copy(update={"segments": [moved, *first.segments[1:]]})
    videos = [changed if video is first else video for video in manifest.videos]
    other = tmp_path / "other.jsonl"
    write_manifest(Manifest(manifest.header, videos, other))
    words = ["train", "--task", "proposals", "--steps", 2, "--warmup", 1, "--grid-step-s", 0.1, "--width", 8,
             "--heads", 1, "--levels", 3, "--window", 3, "--stem", 0, "--batch-size", 2, "--schedule", "constant", "--device", "cpu"]  # fmt: skip
    check(featx, words, segment_data, other, tmp_path / "run", "list of videos was", 3)


def test_a_run_of_before_is_compared_by_what_it_says(class_data: Path, tmp_path: Path, featx) -> None:
    given = ["--store", class_data / "features", "--manifest", class_data / "manifest.jsonl"]
    words = ["train", *given, *QUICK, "--to", tmp_path / "run"]
    assert featx(*words).code == 0
    file = tmp_path / "run" / "summary.json"
    content = json.loads(file.read_bytes())
    del content["sha256"], content["identity"]
    file.write_text(json.dumps(content))
    outcome = featx(*words)
    assert outcome.code == 0 and "has no digest" in outcome.err
