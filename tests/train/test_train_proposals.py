"""`featx train --task proposals` and `featx propose`: learned from segments, resumed bit for bit, the same on two ranks."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from synthetic import make_event_data
from test_train_ranks import losses
from test_train_resume import TOO_FAR, log_of, steps_logged, when

from featx.localisation.detector import load_detector
from featx.localisation.detector_config import DetectorConfig
from featx.localisation.proposals_file import read_proposals
from featx.localisation.propose import propose_video
from featx.localisation.selection import SelectionSettings
from featx.manifest.videos import Manifest, Segment, read_manifest, write_manifest
from featx.store.reader import FeatureStore
from featx.train.detector.losses import distance_iou, focal, interval_overlap
from featx.train.detector.sampler import PartSampler, cut
from featx.train.detector.settings import ProposalSettings
from featx.train.detector.targets import targets_of

SMALL = [
    "--task", "proposals", "--grid-step-s", 0.12, "--width", 16, "--heads", 2, "--levels", 4, "--window", 5,
    "--stem", 1, "--batch-size", 3, "--learning-rate", 3e-3, "--warmup", 5, "--ema", 0.9, "--longest", 150, "--device", "cpu",
]  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("events")
    make_event_data(folder)
    return folder


def command(world: Path, run: Path, *more: object) -> list[object]:
    where = ["--store", world / "features", "--manifest", world / "manifest.jsonl", "--to", run]
    return ["train", *where, *SMALL, *more]


def recall(outcome, number: int) -> float:
    return float(outcome.err.split(f"AR@{number} ")[1].split("%")[0]) / 100


def test_a_detector_learns_and_proposes(world: Path, tmp_path: Path, featx) -> None:
    run = tmp_path / "run"
    outcome = featx(*command(world, run, "--steps", 120, "--validation", 0.2, "--validate-every", 40))
    assert outcome.code == 0, outcome.err
    assert "AR@200" in outcome.err and "10 videos, 120 steps" in outcome.err
    file = tmp_path / "proposals.parquet"
    outcome = featx("propose", run, "--to", file, "--keep", 20)
    assert outcome.code == 0, outcome.err
    assert "of 5 of 6 videos, 1 missing" in outcome.err and "segments in 5 videos" in outcome.err
    learned = recall(outcome, 20)
    found = read_proposals(file)
    assert found.header.missing == ["test/5.mp4"] and found.header.settings["keep"] == 20
    outcome = featx("adapter", "info", run)
    assert (
        outcome.code == 0 and "task       proposals" in outcome.out and "grid       steps of" in outcome.out
    )
    detector, header = load_detector(run / "detector.safetensors")
    assert header.classes == {"jump": "jumping", "wave": "waving"}
    store = FeatureStore(world / "features")
    video = store["test/0.mp4"]
    alone = propose_video(detector, video.features, video.pts, SelectionSettings(keep=20))
    np.testing.assert_allclose(found.videos["test/0.mp4"].score, alone.score)
    again = featx("propose", run, "--to", tmp_path / "again.json", "--keep", 20, "--steps-at-once", 64)
    assert recall(again, 20) == pytest.approx(learned, abs=0.01)
    words = ["--store", world / "features", "--manifest", world / "manifest.jsonl", "--keep", 20]
    flooded = featx("propose", "--watershed", *words, "--to", tmp_path / "watershed.json")
    assert flooded.code == 0, flooded.err
    assert learned > 0.6 and learned > recall(flooded, 20) > 0.15


STATEFUL = [
    "--steps", 60, "--clip-norm", 1, "--validation", 0.2, "--validate-every", 20, "--log-every", 1,
    "--checkpoint-steps", 7, "--drop-path", 0.2,
]  # fmt: skip


def test_an_interrupted_run_that_goes_on_is_the_whole_run(world: Path, tmp_path: Path, featx) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert featx(*command(world, whole, *STATEFUL)).code == 0
    thread = when(lambda: steps_logged(run) > 25, lambda: os.kill(os.getpid(), signal.SIGINT))
    outcome = featx(*command(world, run, *STATEFUL))
    thread.join()
    assert outcome.code == 130 and "run the same command again" in outcome.err
    # features read from the store step by step, by threads, are those that were in memory
    outcome = featx(*command(world, run, *STATEFUL, "--feature-memory-gib", 0))
    assert outcome.code == 0 and "going on after step" in outcome.err and "the store" in outcome.err
    for name in ("detector.safetensors", "detector-last.safetensors"):  # their headers name the other memory
        one, other = load_file(run / name), load_file(whole / name)
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    assert (run / "validation.txt").read_bytes() == (whole / "validation.txt").read_bytes()
    assert log_of(run) == log_of(whole)
    assert any("validation_average_recall" in line for line in log_of(run))
    other = featx(*command(world, run, *STATEFUL, "--sigma", 0.7))
    assert other.code == 2 and "sigma was 0.5, is 0.7" in other.err


def test_two_ranks_have_the_loss_curve_of_one_process(world: Path, tmp_path: Path, featx) -> None:
    words = ["--steps", 12, "--log-every", 1, "--validation", 0.3, "--validate-every", 6]
    assert featx(*command(world, tmp_path / "one", *words)).code == 0
    outcome = featx(*command(world, tmp_path / "two", *words, "--devices", 2))
    assert outcome.code == 0, outcome.err
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == 14
    np.testing.assert_allclose(two, one, rtol=1e-4)


def test_only_seen_classes_are_learned(world: Path, tmp_path: Path, featx) -> None:
    seen = tmp_path / "seen.txt"
    seen.write_text("jump\n")
    manifest = read_manifest(world / "manifest.jsonl")
    videos = [
        video.model_copy(update={"segments": [s for s in video.segments if s.label == "wave"]})
        if video.id == "train/0.mp4"
        else video
        for video in manifest.videos
    ]
    file = world / "one-without.jsonl"
    write_manifest(Manifest(manifest.header, videos, file))
    words = ["--steps", 6, "--seen-list", seen, "--manifest", file]
    outcome = featx(*command(world, tmp_path / "run", *words))
    assert outcome.code == 0, outcome.err
    assert "1 videos show nothing that is learned and are left out, 'train/0.mp4'" in outcome.err
    assert "11 videos" in outcome.err
    assert load_detector(tmp_path / "run" / "detector.safetensors")[1].classes == {"jump": "jumping"}


def test_segments_after_the_last_row_are_missing_and_too_many_are_refused(
    world: Path, tmp_path: Path, featx
) -> None:
    manifest = read_manifest(world / "manifest.jsonl")

    def late(count: int) -> Path:
        videos = [
            video.model_copy(update={"segments": [Segment(start_s=900, end_s=901, label="jump")]})
            if number < count
            else video
            for number, video in enumerate(manifest.videos)
        ]
        file = world / f"late-{count}.jsonl"
        write_manifest(Manifest(manifest.header, videos, file))
        return file

    outcome = featx(*command(world, tmp_path / "one", "--steps", 6, "--manifest", late(1)))
    assert outcome.code == 0 and "1 videos of the training split have no features" in outcome.err
    assert (tmp_path / "one" / "missing-train.txt").read_text() == "train/0.mp4\n"
    outcome = featx(*command(world, tmp_path / "all", "--steps", 6, "--manifest", late(6)))
    assert outcome.code == 2 and "in 6 of 12 videos all segments of" in outcome.err


def test_dry_run_counts_and_writes_nothing(world: Path, tmp_path: Path, featx) -> None:
    outcome = featx(*command(world, tmp_path / "run", "--dry-run"))
    assert outcome.code == 0, outcome.err
    assert "12 videos with" in outcome.out and "GFLOP" in outcome.out and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prompts", 4], "--prompts: task proposals has no such setting, recognition and localisation"),
        (["--set", "layers=1"], "--set: layers: task proposals has no such setting"),
        (["--task", "proposal"], "--task proposal: no such task; did you mean 'proposals'?"),
        (["--task", "recognition"], "--grid-step-s: task recognition has no such setting, proposals have"),
        (["--grid-steps", 20], "give either grid_step_s or grid_steps"),
        (["--window", 4], "window=4 must be odd"),
        (["--devices", 9], "batch_size=3 is too small for devices=9"),
        (["--train-split", "none"], "no video in split 'none'"),
    ],
)
def test_settings_that_do_not_fit_are_named(world: Path, tmp_path: Path, featx, words, message) -> None:
    outcome = featx(*command(world, tmp_path / "run", *words))
    assert outcome.code == 2 and message in outcome.err


def test_propose_names_what_it_needs(world: Path, tmp_path: Path, featx) -> None:
    for words, message in [
        ([], "give either RUN"),
        (["--watershed"], "--store: is needed with --watershed"),
        ([tmp_path], "cannot read the detector"),
    ]:
        outcome = featx("propose", *words, "--to", tmp_path / "p.json")
        assert outcome.code == 2 and message in outcome.err
    assert "must end in .json or .parquet" in featx("propose", tmp_path, "--to", tmp_path / "p.txt").err


CONFIG = DetectorConfig(grid_step_s=1.0, levels=3, reach=4.0, width=8, heads=1)


def test_points_learn_the_segments_that_their_level_is_for() -> None:
    """By a loop over points and segments."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        segments = np.sort(rng.uniform(0, 40, (int(rng.integers(0, 5)), 2)), axis=1)
        ambiguous = np.sort(rng.uniform(0, 40, (1, 2)), axis=1)
        found = targets_of(CONFIG, 41, segments, ambiguous, 1.5)
        at = 0
        for stride, (low, high) in zip((1, 2, 4), ((0, 4), (4, 8), (8, np.inf)), strict=True):
            for point in range(0, 41, stride):
                good = [
                    (end - start, point - start, end - point)
                    for start, end in segments
                    if start < point < end
                    and abs(point - (start + end) / 2) < 1.5 * stride
                    and low <= max(point - start, end - point) <= high
                ]
                assert found.score[at] == bool(good)
                if good:
                    np.testing.assert_allclose(found.distances[at] * stride, min(good)[1:], rtol=1e-5)
                unsure = any(start < point < end for start, end in ambiguous)
                assert found.counts[at] == (bool(good) or not unsure)
                at += 1
        assert at == len(found.score)


def test_losses_against_their_formulas() -> None:
    logits, targets = torch.tensor([-2.0, 0.5, 3.0]), torch.tensor([0.0, 1.0, 1.0])
    chance = 1 / (1 + np.exp(-logits.numpy()))
    expected = [-0.75 * chance[0] ** 2 * np.log(1 - chance[0])]
    expected += [-0.25 * (1 - p) ** 2 * np.log(p) for p in chance[1:]]
    np.testing.assert_allclose(focal(logits, targets), expected, rtol=1e-5)
    one, other = torch.tensor([[2.0, 4.0]]), torch.tensor([[1.0, 1.0]])  # [-2, 4] and [-1, 1]
    assert interval_overlap(one, other).item() == pytest.approx(2 / 6)
    assert distance_iou(one, other).item() == pytest.approx(1 - 2 / 6 + (1 / 6) ** 2)
    assert distance_iou(one, one).item() == pytest.approx(0)


def test_parts_hold_a_segment_and_depend_on_the_step_only(world: Path) -> None:
    from featx.train.detector.inputs import prepare

    data = {"store": world / "features", "manifest": world / "manifest.jsonl"}
    settings = ProposalSettings(**data, grid_step_s=0.12, longest=60, width=8, heads=1)
    videos = prepare(settings).videos
    sampler = PartSampler(0, 5, videos, np.arange(3, 12), 60, 8, 0.1)
    drawn = [sampler.draw(step) for step in range(1, 60)]
    assert {int(video) for draw in drawn for video in draw.videos} == set(range(3, 12))
    for draw in drawn:
        for index, first, steps in zip(draw.videos, draw.first, draw.steps, strict=True):
            video = videos[index]
            assert first >= 0 and first + steps <= video.grid.steps and 54 <= steps <= 60
            middles = video.segments.mean(axis=1)
            assert ((middles >= first - 1) & (middles <= first + steps)).any()
    again = PartSampler(0, 5, videos, np.arange(3, 12), 60, 8, 0.1).draw(30)
    np.testing.assert_array_equal(again.first, drawn[29].first)
    np.testing.assert_array_equal(again.keep, drawn[29].keep)


def test_segments_are_cut_to_the_part() -> None:
    spans = np.array([[0.0, 4.0], [8.0, 12.0], [18.0, 30.0], [40.0, 50.0]])
    np.testing.assert_allclose(cut(spans, 10, 15, 0.4), [[-0.5, 2.0], [8.0, 14.5]])
    np.testing.assert_allclose(cut(spans, 10, 15, 0.65), np.empty((0, 2)))


def test_log_says_what_a_detector_is_measured_by(world: Path, tmp_path: Path, featx) -> None:
    assert featx(*command(world, tmp_path / "run", "--steps", 6, "--log-every", 2)).code == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert all({"loss", "overlap", "rate"} <= line.keys() for line in lines)


def test_a_last_update_that_makes_no_numbers_is_not_a_finished_detector(
    world: Path, tmp_path: Path, featx
) -> None:
    run = tmp_path / "run"
    outcome = featx(*command(world, run, *TOO_FAR))
    assert outcome.code == 2 and "step 1: its update left numbers that are not finite (" in outcome.err
    assert not (run / "detector.safetensors").exists()
