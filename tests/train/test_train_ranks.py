"""Several ranks learn what one process learns, share the work, and end together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from test_train_step import NAMES, make

from featx.errors import FeatxError
from featx.train.adapter.losses import Objective
from featx.train.adapter.sampler import ClipDraw
from featx.train.adapter.step import AdapterStep, TextSide
from featx.train.engine import launch
from featx.train.engine.launch import in_ranks
from featx.train.engine.ranks import Ranks, join_ranks
from featx.train.engine.stopwatch import Stopwatch

# batch, classes and videos that two ranks cannot halve, a class list shorter than all classes, parts that add up
UNEVEN = [
    "--prompts", 2, "--layers", 1, "--batch-size", 7, "--accumulate", 2, "--strides", "1,2", "--stride-weights", "1,1",
    "--learning-rate", 1e-3, "--steps", 25, "--log-every", 1, "--validation", 0.3, "--validate-every", 10, "--device", "cpu",
]  # fmt: skip


def losses(run: Path) -> np.ndarray:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return np.array([line.get("loss", line.get("validation_loss")) for line in lines])


def words(world: Path, run: Path, *more: object) -> list[str]:
    where = ["train", "--store", world / "features", "--manifest", world / "manifest.jsonl", "--to", run]
    return [str(word) for word in [*where, *UNEVEN, *more]]


@pytest.mark.parametrize("loss", ["video-to-text", "symmetric"])
def test_two_ranks_have_the_loss_curve_of_one_process(
    loss: str, order_data: Path, tmp_path: Path, featx
) -> None:
    assert featx(*words(order_data, tmp_path / "one", "--loss", loss)).code == 0
    outcome = featx(*words(order_data, tmp_path / "two", "--loss", loss, "--devices", 2))
    assert outcome.code == 0, outcome.err
    assert "2 processes" in outcome.err
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == 28
    np.testing.assert_allclose(two, one, rtol=1e-5)


@pytest.mark.parametrize("loss", ["video-to-text", "symmetric"])
def test_two_ranks_match_sentences_as_one_process_does(
    loss: str, caption_data: Path, tmp_path: Path, featx
) -> None:
    """Sentences of every step are others, and some are right for a clip although they are not its target."""
    more = ["--task", "retrieval", "--loss", loss, "--batch-size", 31, "--steps", 12]
    assert featx(*words(caption_data, tmp_path / "one", *more)).code == 0
    outcome = featx(*words(caption_data, tmp_path / "two", *more, "--devices", 2))
    assert outcome.code == 0, outcome.err
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == 14
    np.testing.assert_allclose(two, one, rtol=1e-5)


def test_torchrun_has_the_same_loss_curve_and_one_writer(order_data: Path, tmp_path: Path, featx) -> None:
    assert featx(*words(order_data, tmp_path / "one")).code == 0
    torchrun = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    command = [*torchrun, "-m", "featx.cli", *words(order_data, tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("learned parameters") == 1
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-5)


def steps_of_one_rank(count: int) -> dict:
    """Two steps over 5 classes and over 3 of them; returns what the first rank saw, and every rank's counts."""
    with join_ranks("cpu") as ranks:
        assert ranks.count == count
        adapter, tower = make(prompts=2)
        text_side = TextSide(adapter, tower, adapter.plan(tower.format, NAMES), 128, ranks)
        step = AdapterStep(adapter, text_side, ranks, Objective(), Stopwatch("cpu"))
        gradients = []
        for texts in ([0, 1, 2, 3, 4], [0, 2, 4]):
            rng = np.random.default_rng(0)
            clips = torch.from_numpy(rng.standard_normal((6, 4, 128)).astype(np.float32))
            drawn = ClipDraw(
                np.arange(6), np.zeros((6, 4), np.int64), np.array(texts), np.arange(6) % len(texts)
            )
            from featx.train.adapter.loader import Batch

            step.gradients(Batch(drawn, [slice(0, 6)], [clips[ranks.shard(6)]]))
            ranks.sum_gradients(list(adapter.parameters()), stop=False)
            gradients.append([parameter.grad.numpy().copy() for parameter in adapter.parameters()])
            adapter.zero_grad()
        encoded = ranks.gather(torch.tensor([tower.encoded]), ranks.count)
    return {"gradients": gradients, "encoded": encoded.tolist()}


def test_each_rank_encodes_its_part_of_the_texts_and_the_gradients_add_up() -> None:
    alone = in_ranks(1, steps_of_one_rank, 1)
    together = in_ranks(2, steps_of_one_rank, 2)
    assert alone["encoded"] == [[5, 3]]
    assert together["encoded"] == [[3, 2], [2, 1]]  # rank 0: 3 of 5, then 2 of 3; rank 1: the others
    for one, two in zip(alone["gradients"], together["gradients"], strict=True):
        for expected, found in zip(one, two, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_more_ranks_than_texts_gather_nothing_from_some() -> None:
    parts = [Ranks(rank, 3).shard(2) for rank in range(3)]
    assert [part.stop - part.start for part in parts] == [1, 1, 0]


def children(process: subprocess.Popen) -> list[int]:
    """The ranks that a launcher started, in order."""
    found = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def start(world: Path, run: Path) -> subprocess.Popen:
    command = [sys.executable, "-W", "ignore", "-m", "featx.cli"]
    command += words(world, run, "--steps", 100_000, "--devices", 2, "--checkpoint-steps", 5)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list((run / "checkpoints").glob("step-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    return process


@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the ranks through /proc")
def test_a_dying_rank_ends_the_run_with_one_line(order_data: Path, tmp_path: Path) -> None:
    process = start(order_data, tmp_path / "run")
    ranks = children(process)
    os.kill(ranks[1], signal.SIGKILL)
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 2
    assert error.count("\n") == 1 and "rank 1 of 2 ended with signal 9 (SIGKILL)" in error, error
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks)


@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the ranks through /proc")
def test_a_signal_stops_all_ranks_after_the_same_step(order_data: Path, tmp_path: Path) -> None:
    process = start(order_data, tmp_path / "run")
    ranks = children(process)
    process.terminate()
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert error.count("\n") == 1 and "run the same command again to go on" in error, error
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks)


def test_an_error_of_all_ranks_is_said_once(order_data: Path, tmp_path: Path, featx) -> None:
    outcome = featx(*words(order_data, tmp_path / "run", "--devices", 2, "--train-split", "trian"))
    assert outcome.code == 2 and outcome.err.count("\n") == 1
    assert "no video in split 'trian'" in outcome.err
    with pytest.raises(FeatxError, match="ended with exit code 1"):
        in_ranks(2, fail)


def fail() -> None:
    raise ValueError("a bug")


def test_the_rank_that_failed_is_named_not_one_that_was_ended_because_of_it(monkeypatch) -> None:
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.5)
    with pytest.raises(FeatxError, match=r"rank 1 of 3 ended with exit code 3; the others were ended too"):
        in_ranks(3, leave_the_others_waiting)


def leave_the_others_waiting() -> None:
    """As where a rank is gone and the others wait for it in a kernel, deaf to SIGTERM."""
    if os.environ["RANK"] == "1":
        os._exit(3)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def test_a_rank_without_videos_to_validate_on_scores_none(caption_data: Path, tmp_path: Path, featx) -> None:
    more = [
        "--task",
        "retrieval",
        "--batch-size",
        31,
        "--steps",
        4,
        "--validation",
        0.001,
        "--validate-every",
        2,
    ]
    assert featx(*words(caption_data, tmp_path / "one", *more)).code == 0
    assert len((tmp_path / "one" / "validation.txt").read_text().splitlines()) == 1  # for two ranks
    outcome = featx(*words(caption_data, tmp_path / "two", *more, "--devices", 2))
    assert outcome.code == 0, outcome.err
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-5)
