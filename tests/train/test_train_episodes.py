"""Episodes learned together are those learned one by one; an interrupted run goes on; the mean is scipy's."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy import stats
from synthetic import CLASSES, make_episodes
from test_train_resume import TOO_FAR, when

from featx.manifest.videos import read_manifest
from featx.model.adapter import read_header
from featx.scoring.results import read_results

SETTINGS = ["--prompts", 2, "--batch-size", 8, "--strides", "1,2", "--stride-weights", "1,1", "--learning-rate", 0.01, "--device", "cpu"]  # fmt: skip


@pytest.fixture(scope="module")
def episodes(class_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("episodes") / "3way.jsonl"
    make_episodes(read_manifest(class_data / "manifest.jsonl"), file, count=5, ways=3, shots=4)
    return file


def words(world: Path, episodes: Path | None, run: Path, *more: object) -> list[object]:
    where = ["--store", world / "features", "--manifest", world / "manifest.jsonl", "--to", run]
    return ["train", *where, *SETTINGS, *(["--episodes", episodes] if episodes else []), *more]


@pytest.mark.parametrize(
    "more",
    [
        ["--layers", 0],
        ["--layers", 0, "--positions"],
        ["--layers", 1, "--clip-norm", 0.5],
        ["--layers", 0, "--loss", "symmetric", "--ema", 0.9],
        ["--prompts", 0, "--layers", 1],
    ],
)
def test_together_equals_one_by_one(class_data, episodes, tmp_path, featx, more) -> None:
    for run, together in (("together", 4), ("alone", 1)):
        outcome = featx(
            *words(
                class_data, episodes, tmp_path / run, "--steps", 12, "--episodes-together", together, *more
            )
        )
        assert outcome.code == 0, outcome.err
    for index in range(5):
        mine, alone = (
            load_file(tmp_path / run / "episodes" / f"{index:04d}.safetensors")
            for run in ("together", "alone")
        )
        for name, value in alone.items():
            # AdamW's first steps are rate * sign(gradient): a gradient of rounding size may part them there
            assert np.median(np.abs(value - mine[name])) < 1e-5, name
            assert np.abs(value - mine[name]).max() < 5e-3, name


def test_an_interrupted_run_equals_an_uninterrupted_one(class_data, episodes, tmp_path, featx) -> None:
    more = ["--layers", 0, "--steps", 60, "--episodes-together", 2, "--log-every", 1]
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert featx(*words(class_data, episodes, whole, *more)).code == 0
    log = run / "episodes" / "group-0001" / "log.jsonl"
    thread = when(
        lambda: log.exists() and log.read_bytes().count(b"\n") > 20,
        lambda: os.kill(os.getpid(), signal.SIGINT),
    )
    outcome = featx(*words(class_data, episodes, run, *more))
    thread.join()
    assert outcome.code == 130, outcome.err
    assert sorted(file.name for file in (run / "episodes").glob("*.json")) == ["0000.json", "0001.json"]
    outcome = featx(*words(class_data, episodes, run, *more, "--learning-rate", 0.5))
    assert outcome.code == 2 and "rate was 0.01, is 0.5" in outcome.err
    outcome = featx(*words(class_data, episodes, run, *more))
    assert (
        outcome.code == 0 and "going on after step" in outcome.err and "3 of them learned now" in outcome.err
    )
    for file in sorted((whole / "episodes").glob("0*")):
        assert (
            file.suffix == ".safetensors" or file.read_bytes() == (run / "episodes" / file.name).read_bytes()
        )
        if file.suffix == ".safetensors":
            ours, theirs = load_file(run / "episodes" / file.name), load_file(file)
            assert all(np.array_equal(ours[name], value) for name, value in theirs.items())


def test_results_are_means_of_what_featx_eval_says(class_data, episodes, tmp_path, featx) -> None:
    run = tmp_path / "run"
    assert featx(*words(class_data, episodes, run, "--layers", 0, "--steps", 20)).code == 0
    (results,) = read_results(run)
    assert results.few_shot is not None and (results.few_shot.ways, results.few_shot.shots) == (3, 4)
    values = [item.metrics["top1"] for item in results.items]
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert results.metrics["top1"] == pytest.approx(np.mean(values))
    assert results.spread["top1"].interval95 == pytest.approx((high - low) / 2)
    assert results.metrics["top1"] > 0.5 and results.videos.scored == 5 * 3 * 14


def test_open_set_training_never_sees_an_unseen_class(class_data, tmp_path, featx, monkeypatch) -> None:
    from featx.train.adapter import inputs

    prepared = []
    monkeypatch.setattr(
        "featx.train.adapter.learn.prepare",
        lambda *some: prepared.append(inputs.prepare(*some)) or prepared[-1],
    )
    (tmp_path / "seen.txt").write_text("blue star\nred-circle\n")
    run = tmp_path / "run"
    outcome = featx(*words(class_data, None, run, "--steps", 2, "--seen-list", tmp_path / "seen.txt"))
    assert outcome.code == 0, outcome.err
    seen = [label for label in CLASSES if label in ("blue-star", "red-circle")]
    assert list(read_header(run / "adapter.safetensors").classes) == seen
    (one,) = prepared
    assert len(one.plan) == 2 and {video_id.split("/")[0] for video_id in one.videos.ids} == set(seen)
    assert set(one.videos.labels.tolist()) == {0, 1}
    outcome = featx(
        "eval", run, "--classes", "unseen", "--manifest", class_data / "manifest.jsonl", "--split", "test"
    )
    assert outcome.code == 0 and "40/40" in outcome.out, outcome.err
    outcome = featx(*words(class_data, None, tmp_path / "no", "--class-split-name", "split_0"))
    assert outcome.code == 2 and "class_split_name needs class_split" in outcome.err


def test_a_folder_holds_one_kind_of_run(class_data, episodes, tmp_path, featx) -> None:
    more = ["--layers", 0, "--steps", 2]
    few, one = tmp_path / "few", tmp_path / "one"
    assert featx(*words(class_data, episodes, few, *more)).code == 0
    assert featx(*words(class_data, None, one, *more)).code == 0
    for list_of_episodes, run in ((None, few), (episodes, one)):
        outcome = featx(*words(class_data, list_of_episodes, run, *more, "--fresh"))
        assert outcome.code == 2 and "choose another --to" in outcome.err


def test_a_last_update_that_makes_no_numbers_finishes_no_episode(
    class_data, episodes, tmp_path, featx
) -> None:
    run = tmp_path / "run"
    outcome = featx(*words(class_data, episodes, run, "--layers", 1, *TOO_FAR))
    assert (
        outcome.code == 2
        and "step 1: its update left numbers that are not finite ('0.temporal." in outcome.err
    )
    assert not [*(run / "episodes").glob("0*")] and not [*run.glob("results-*")]


def test_short_memory_changes_no_bit(class_data, episodes, tmp_path, featx, monkeypatch) -> None:
    """The texts of all episodes that are learned together count."""
    more = ["--layers", 0, "--steps", 3, "--episodes-together", 2]
    plenty = featx(*words(class_data, episodes, tmp_path / "plenty", *more))
    monkeypatch.setattr("featx.train.adapter.learn.free_memory_bytes", lambda: 1000)
    short = featx(*words(class_data, episodes, tmp_path / "short", *more))
    assert plenty.code == short.code == 0, short.err
    assert "computed again" not in plenty.err
    assert (
        "6 texts a step" in short.err and "blocks are computed again" in short.err
    )  # 2 episodes of 3 classes
    for index in range(5):
        file = Path("episodes") / f"{index:04d}.safetensors"
        assert (tmp_path / "plenty" / file).read_bytes() == (tmp_path / "short" / file).read_bytes()
