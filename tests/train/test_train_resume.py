"""An interrupted run that goes on is the run that was never interrupted, bit for bit."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featx.train.engine.checkpoint import Checkpoint, Checkpoints, read_checkpoint

# everything that has a state: optimiser, schedule, running mean, best step, and a log line at every step
STATEFUL = [
    "--prompts", 2, "--layers", 1, "--batch-size", 8, "--strides", "1,2", "--stride-weights", "1,1", "--learning-rate", 1e-3,
    "--schedule", "cosine", "--warmup", 5, "--ema", 0.98, "--clip-norm", 1, "--validation", 0.2,
    "--validate-every", 20, "--log-every", 1, "--checkpoint-steps", 7, "--device", "cpu",
]  # fmt: skip


def command(world: Path, run: Path, *words: object) -> list[str]:
    where = ["--store", world / "features", "--manifest", world / "manifest.jsonl", "--to", run]
    return [str(word) for word in ["train", *where, *STATEFUL, *words]]


def log_of(run: Path) -> list[dict]:
    """The log without what no two runs share: times."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k != "seconds" and not k.startswith("share_")} for line in lines
    ]


def steps_logged(run: Path) -> int:
    file = run / "log.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def when(reached: Callable[[], bool], act: Callable[[], object]) -> threading.Thread:
    def watch() -> None:
        deadline = time.monotonic() + 120
        while not reached() and time.monotonic() < deadline:
            time.sleep(0.002)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.fixture(scope="module")
def whole(order_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 120 steps that nobody interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    start(command(order_data, run, "--steps", 120)).wait()
    return run


def start(words: list[str]) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "featx.cli", *words], env=environment, stderr=subprocess.PIPE
    )


def assert_same(run: Path, whole: Path) -> None:
    for name in ("adapter.safetensors", "adapter-last.safetensors", "validation.txt"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    assert log_of(run) == log_of(whole)


def kill_until_done(world: Path, run: Path, steps: int, kills: list[int]) -> None:
    for at in kills:
        process = start(command(world, run, "--steps", steps))
        when(lambda at=at: steps_logged(run) >= at, process.kill).join()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    process = start(command(world, run, "--steps", steps))
    error = process.communicate()[1].decode()
    assert process.returncode == 0, error
    assert "going on after step" in error


def test_killed_and_resumed_equals_uninterrupted(order_data: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = random.randint(8, 50)
    kill_until_done(order_data, run, 120, [first, first + random.randint(5, 50)])
    assert_same(run, whole)
    assert len(list((run / "checkpoints").iterdir())) == 1  # of the last step


@pytest.mark.slow
def test_killed_many_times_equals_uninterrupted(order_data: Path, tmp_path: Path) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    start(command(order_data, whole, "--steps", 1000)).communicate()
    kill_until_done(order_data, run, 1000, sorted(random.sample(range(1, 980), 12)))
    assert_same(run, whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(
    number: int, order_data: Path, whole: Path, tmp_path: Path, featx
) -> None:
    run = tmp_path / "run"
    words = command(order_data, run, "--steps", 120, "--checkpoint-steps", 0, "--quiet")
    thread = when(lambda: steps_logged(run) > 40, lambda: os.kill(os.getpid(), number))
    outcome = featx(*words)
    thread.join()
    assert outcome.code == 130 and outcome.err.count("\n") == 1
    assert "stopped after step" in outcome.err and "run the same command again to go on" in outcome.err
    assert len(list((run / "checkpoints").iterdir())) == 1
    outcome = featx(*words, "--log-every", 1, "--workers", 3)  # how it runs may change
    assert outcome.code == 0 and "going on after step" in outcome.err
    assert log_of(run) == log_of(whole)
    curves = steps_in_tensorboard(run)
    assert curves["loss"] == list(range(1, 121))
    assert curves["validation_top1"] == [20, 40, 60, 80, 100, 120]


def steps_in_tensorboard(run: Path) -> dict[str, list[int]]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    steps: dict[str, list[int]] = {}
    for file in sorted((run / "tensorboard").iterdir()):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                steps.setdefault(value.tag, []).append(event.step)
    return steps


@pytest.fixture
def interrupted(order_data: Path, tmp_path: Path, featx) -> Path:
    run = tmp_path / "run"
    thread = when(lambda: steps_logged(run) > 60, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert featx(*command(order_data, run, "--steps", 120)).code == 130
    thread.join()
    assert len(list((run / "checkpoints").iterdir())) == 2
    return run


def test_damaged_checkpoints_fall_back_to_the_one_before(
    interrupted: Path, order_data: Path, whole: Path, tmp_path: Path, featx
) -> None:
    newest, before = Checkpoints(interrupted).files()
    for damage, damaged in [("truncated", [newest]), ("flipped", [newest]), ("flipped", [newest, before])]:
        run = tmp_path / f"{damage}-{len(damaged)}"
        shutil.copytree(interrupted, run)
        for name in damaged:
            file = run / "checkpoints" / name.name
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content[: len(content) // 3] if damage == "truncated" else content)
        outcome = featx(*command(order_data, run, "--steps", 120))
        assert outcome.code == 0, outcome.err
        assert outcome.err.count("damaged, removed") == len(damaged)
        assert ("going on after step" in outcome.err) == (len(damaged) == 1)
        assert log_of(run) == log_of(whole)


def test_another_number_of_threads_is_said(interrupted: Path, order_data: Path, featx) -> None:
    """Sums are rounded differently with it, so "byte for byte" no longer holds: whoever goes on must know."""
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        outcome = featx(*command(order_data, interrupted, "--steps", 120))
    finally:
        torch.set_num_threads(before)
    assert outcome.code == 0
    assert f"began with {before} threads, goes on with {before + 1}" in outcome.err
    assert f"OMP_NUM_THREADS={before}" in outcome.err


def test_other_settings_and_other_data_are_named(
    interrupted: Path, order_data: Path, tmp_path: Path, featx
) -> None:
    outcome = featx(*command(order_data, interrupted, "--steps", 130, "--learning-rate", 0.5))
    assert outcome.code == 2
    assert "rate was 0.001, is 0.5; steps was 120, is 130" in outcome.err and "--fresh" in outcome.err
    fewer = tmp_path / "fewer.jsonl"
    fewer.write_text("\n".join((order_data / "manifest.jsonl").read_text().splitlines()[:-1]) + "\n")
    lines = (order_data / "manifest.jsonl").read_text().splitlines()
    fewer.write_text("\n".join(line for line in lines if "growing/train-3.mp4" not in line) + "\n")
    outcome = featx(*command(order_data, interrupted, "--steps", 120, "--manifest", fewer))
    assert outcome.code == 2 and "videos was 48, is 47" in outcome.err
    outcome = featx(*command(order_data, interrupted, "--steps", 3, "--warmup", 0, "--fresh"))
    assert outcome.code == 0 and "3 steps" in outcome.err
    assert [line["step"] for line in log_of(interrupted)] == [1, 2, 3, 3]


PLAIN = ["--prompts", 2, "--layers", 1, "--batch-size", 8, "--learning-rate", 1e-3, "--warmup", 3, "--ema", 0.9, "--device", "cpu",
         "--validation", 0.2, "--validate-every", 10, "--log-every", 10]  # fmt: skip


def test_a_finished_run_that_is_given_more_steps_is_the_longer_run(
    order_data: Path, tmp_path: Path, featx
) -> None:
    """Byte for byte, where the old end is a step that is validated and logged anyway."""
    where = ["--store", order_data / "features", "--manifest", order_data / "manifest.jsonl"]
    words = ["train", *where, *PLAIN, "--to"]
    assert featx(*words, tmp_path / "long", "--steps", 30).code == 0
    assert featx(*words, tmp_path / "more", "--steps", 20).code == 0
    before = (tmp_path / "more" / "adapter.safetensors").read_bytes()
    outcome = featx(*words, tmp_path / "more", "--steps", 30, "--learning-rate", 2e-3)
    assert outcome.code == 2 and "rate was 0.001, is 0.002; steps was 20, is 30" in outcome.err
    outcome = featx(*words, tmp_path / "more", "--steps", 10)
    assert outcome.code == 2 and "steps was 20, is 10" in outcome.err
    assert (tmp_path / "more" / "adapter.safetensors").read_bytes() == before
    outcome = featx(*words, tmp_path / "more", "--steps", 30)
    assert outcome.code == 0 and "going on after step 20 of 30" in outcome.err
    assert_same(tmp_path / "more", tmp_path / "long")
    assert featx(*words, tmp_path / "bare", "--steps", 20, "--no-keep-state").code == 0
    assert not (tmp_path / "bare" / "checkpoints").exists()
    outcome = featx(*words, tmp_path / "bare", "--steps", 30)
    assert (
        outcome.code == 2 and "holds a finished run with other settings (steps was 20, is 30)" in outcome.err
    )


def test_a_finished_run_is_left_alone(order_data: Path, whole: Path, featx) -> None:
    before = {file: file.stat().st_mtime_ns for file in whole.iterdir()}
    outcome = featx(*command(order_data, whole, "--steps", 120))
    assert outcome.code == 0 and "120 steps" in outcome.err
    assert {file: file.stat().st_mtime_ns for file in whole.iterdir()} == before
    outcome = featx(*command(order_data, whole, "--steps", 121))
    assert (
        outcome.code == 2
        and "holds a finished run with other settings (steps was 120, is 121)" in outcome.err
    )


CHECKPOINT = Checkpoint({"a": [1, None]}, {"adapter.x": torch.arange(5.0), "adapter.y": torch.tensor(3.0)})


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_damage_of_any_byte_is_seen(tmp_path: Path, place: float, bit: int, cut: bool) -> None:
    file = Checkpoints(tmp_path).save(3, CHECKPOINT)
    read = read_checkpoint(file)
    assert read is not None and read.record == CHECKPOINT.record
    assert all(torch.equal(value, read.tensors[name]) for name, value in CHECKPOINT.tensors.items())
    content = bytearray(file.read_bytes())
    at = int(place * len(content))
    content[at] ^= 1 << bit
    file.write_bytes(content[:at] if cut else content)
    assert read_checkpoint(file) is None


def test_the_newest_two_checkpoints_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (10, 20, 30, 20):  # the last: a run that went on from step 10
        checkpoints.save(step, Checkpoint({"step": step}, CHECKPOINT.tensors))
    assert [int(file.name[5:13]) for file in checkpoints.files()] == [20]
    checkpoints.save(40, CHECKPOINT)
    assert [int(file.name[5:13]) for file in checkpoints.files()] == [40, 20]


def test_a_loss_that_is_no_number_is_an_error_that_names_the_step(
    order_data: Path, tmp_path: Path, featx
) -> None:
    run = tmp_path / "run"
    outcome = featx(*command(order_data, run, "--steps", 50, "--learning-rate", 1e38, "--clip-norm", 0))
    assert outcome.code == 2 and "the loss is nan; lower --learning-rate" in outcome.err
    assert not (run / "adapter.safetensors").exists()


# one update of it makes LayerNorm's weights infinite, while the loss, computed before it, is a number
TOO_FAR = ["--steps", 1, "--learning-rate", 3.4e37, "--weight-decay", 9.9, "--warmup", 0]


@pytest.mark.parametrize(
    "more", [[], ["--validation", 0], ["--validation", 0, "--ema", 0, "--checkpoint-steps", 1]]
)
def test_a_last_update_that_makes_no_numbers_is_an_error_and_not_a_finished_run(
    more: list[object], order_data: Path, tmp_path: Path, featx
) -> None:
    run = tmp_path / "run"
    words = command(order_data, run, "--clip-norm", 0, *TOO_FAR, *more)
    for _ in range(2):  # the second finds nothing to go on from
        outcome = featx(*words)
        assert outcome.code == 2, outcome.err
        assert "step 1: its update left numbers that are not finite ('temporal.blocks.0.ln_" in outcome.err
        assert "lower --learning-rate, or set --clip-norm 1" in outcome.err
        assert not [*run.rglob("*.safetensors")] and not (run / "summary.json").exists()


def test_a_checkpoint_whose_numbers_are_not_finite_does_not_become_a_finished_run(
    order_data: Path, tmp_path: Path, featx
) -> None:
    """Such as one that was written by a program that looked at losses only."""
    run = tmp_path / "run"
    words = command(order_data, run, "--steps", 20, "--checkpoint-steps", 20, "--validation", 0)
    thread = when(lambda: steps_logged(run) >= 3, lambda: os.kill(os.getpid(), signal.SIGINT))
    outcome = featx(*words)
    thread.join()
    assert outcome.code == 130, outcome.err
    checkpoints = Checkpoints(run)
    found = checkpoints.newest(print)
    assert found is not None
    found.tensors["mean.prompt_table"][0, 0] = torch.nan
    found.record["progress"]["step"] = 20
    checkpoints.save(20, found)
    outcome = featx(*words)
    assert outcome.code == 2 and "step 20: " in outcome.err and "'prompt_table'" in outcome.err
    assert not (run / "adapter.safetensors").exists()
