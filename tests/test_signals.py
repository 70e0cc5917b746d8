"""Signals that stop a program, wherever they hit: a commit is one step, the exit code is 130, and one line is said.

`make test-kill` does more of it: longer lives of a writer, and `featx extract` itself at its file operations.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from stores import FORMATS, assert_equal

from featx.errors import FeatxError, Interrupted
from featx.signals import DeferSignals, interrupt_on_signals, interruptible
from featx.store.reader import FeatureStore
from featx.store.upkeep.verify import verify

PROGRAM = str(Path(__file__).parent / "support" / "signal_points.py")
EXTRACT = ["--model", "tiny", "--batch-size", "16", "--decoders", "1", "--shard-mib", "0.05"]


def run(*words: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, PROGRAM, *map(str, words)], capture_output=True, text=True)


def test_an_interruption_becomes_the_line_of_what_was_interrupted() -> None:
    done: list[int] = []
    with (
        pytest.raises(Interrupted, match="^stopped after 1$") as caught,
        interruptible(lambda: f"stopped after {len(done)}"),
    ):
        done.append(1)
        raise KeyboardInterrupt
    assert caught.value.exit_code == 130
    with pytest.raises(FeatxError, match="^other$"), interruptible("stopped"):
        raise FeatxError("other")


@pytest.mark.parametrize("format", FORMATS)
def test_a_signal_at_any_file_operation_of_a_commit(tmp_path: Path, format: str) -> None:
    done = run("commit", format, 1, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "fsync" in done.stdout and "os.rename" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_a_signal_at_any_file_operation_of_several_commits(tmp_path: Path, format: str, capsys) -> None:
    done = run("commit", format, 3, tmp_path)
    assert done.returncode == 0, done.stderr
    with capsys.disabled():
        print(f"\n{done.stdout.strip()}")


class Extractions:
    """`featx extract` of a few videos, undisturbed and with a signal at one of its file operations."""

    def __init__(self, videos: Path, folder: Path, format: str) -> None:
        self._words = [videos, *EXTRACT, "--format", format]
        self._folder = folder
        self.reference = folder / "undisturbed"
        self.points = int(self._run(self.reference, 0, 0).stdout)

    def _run(self, store: Path, point: int, code: int) -> subprocess.CompletedProcess:
        done = run("featx", point, store, "extract", *self._words, "--to", store)
        assert done.returncode == code, (point, done.returncode, done.stderr)
        return done

    def disturb(self, point: int) -> None:
        store = self._folder / str(point)
        said = self._run(store, point, 130).stderr
        assert said.splitlines()[-1].startswith("featx: stopped") and "Traceback" not in said, (point, said)
        self._run(store, 0, 0)
        reference = FeatureStore(self.reference)
        assert verify(store, list(reference)).findings == [], point
        done = FeatureStore(store)
        for video_id in reference:
            assert_equal(done[video_id], reference[video_id])


def test_an_extraction_goes_on_after_a_signal(shape_videos: Path, tmp_path: Path) -> None:
    extractions = Extractions(shape_videos, tmp_path, "zarr")
    extractions.disturb(extractions.points // 2)


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_an_extraction_goes_on_after_a_signal_anywhere(
    shape_videos: Path, tmp_path: Path, format: str
) -> None:
    extractions = Extractions(shape_videos, tmp_path, format)
    for point in range(1, extractions.points + 1, 1 if format == "hdf5" else 5):
        extractions.disturb(point)


@pytest.mark.parametrize(
    "module", ["typer", "featx.extract.plan.settings", "featx.extract.run", "featx.store.writing.writer"]
)
def test_a_signal_during_imports_is_said_in_one_line(shape_videos: Path, tmp_path: Path, module: str) -> None:
    done = run("import", module, "SIGINT", "extract", shape_videos, "--to", tmp_path / "s", "--model", "tiny")
    assert done.returncode == 130, done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("featx: stopped")


def stopped(done: subprocess.CompletedProcess) -> bool:
    lines = done.stderr.splitlines()
    return (
        done.returncode == 130 and lines[-1].startswith("featx: stopped") and "Traceback" not in done.stderr
    )


@pytest.mark.parametrize(("command", "points"), [("eval", (10, 11)), ("sweep", (10,))])  # SIGTERM, SIGHUP
def test_a_signal_while_runs_are_made_and_scored(
    class_data: Path, tmp_path: Path, command: str, points: tuple[int, ...], featx
) -> None:
    """At file operations in the run's folder: the line and the code, and the same command afterwards does all."""
    to, recipe = tmp_path / "run", tmp_path / "recipe.toml"
    given = ["--store", class_data / "features", "--manifest", class_data / "manifest.jsonl", "--to", to]
    recipe.write_text('steps = 3\nbatch = 4\nlayers = 0\ndevice = "cpu"\n')
    words = ["sweep", recipe, "--grid", "prompts=1", *given]
    if command == "eval":
        assert featx("train", "--recipe", recipe, "--prompts", 1, *given).code == 0
        words = ["eval", to, "--device", "cpu"]
    for point in points:
        done = run("featx", point, to, *words)
        assert stopped(done), (point, done.returncode, done.stderr)
    outcome = featx(*words)
    assert outcome.code == 0, outcome.err
    assert not list(to.rglob("*.partial")) and not list(to.rglob("lock"))


@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_other_signals_during_imports(tmp_path: Path, number: str) -> None:
    done = run("import", "featx.evaluate.report.table", number, "table", "closed-set", tmp_path)
    assert stopped(done) and done.stderr.count("\n") == 1, done.stderr


def start_of(videos: Path, store: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "featx", "extract", str(videos), *EXTRACT, "--to", str(store)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.parametrize("wait_s", [0.2, 1.5])
def test_ctrl_c_while_workers_start_is_said_in_one_line(
    shape_videos: Path, tmp_path: Path, wait_s: float
) -> None:
    process = start_of(shape_videos, tmp_path / "s")
    listing = ["pgrep", "-P", str(process.pid)]
    while process.poll() is None and not subprocess.run(listing, capture_output=True).stdout:
        time.sleep(0.02)
    time.sleep(wait_s)  # what its processes do meanwhile: import torch, mostly
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    said = process.communicate()[1]
    assert process.returncode == 130, said
    assert said.count("\n") == 1 and said.startswith("featx: stopped")


def test_a_signal_after_the_summary_adds_a_line_at_most(shape_videos: Path, tmp_path: Path) -> None:
    process = start_of(shape_videos, tmp_path / "s")
    assert process.stderr is not None
    for line in process.stderr:
        if "videos added" in line:
            process.send_signal(signal.SIGTERM)
            break
    rest = process.communicate()[1]
    assert process.returncode in (0, 130)
    assert rest.count("\n") <= 1 and "Traceback" not in rest and "ignored" not in rest


@pytest.fixture
def as_featx():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    interrupt_on_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_deferred_signal_is_acted_on_at_the_end(as_featx, number: signal.Signals) -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt):
        with DeferSignals():
            with DeferSignals():
                signal.raise_signal(number)
                signal.raise_signal(number)
                steps.append("within")
            steps.append("the outer one goes on")
        steps.append("never")
    assert steps == ["within", "the outer one goes on"]
    with pytest.raises(KeyboardInterrupt):  # and the handlers are those of before
        signal.raise_signal(number)


def test_only_the_first_signal_waits_where_that_was_asked_for(as_featx) -> None:
    with pytest.raises(KeyboardInterrupt), DeferSignals(only_first=True) as signals:
        signal.raise_signal(signal.SIGTERM)
        assert signals.came == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("never reached")


def test_an_error_goes_before_a_deferred_signal(as_featx) -> None:
    with pytest.raises(FeatxError), DeferSignals():
        signal.raise_signal(signal.SIGINT)
        raise FeatxError("the disk is full")


def test_ignored_signals_stay_ignored_and_other_threads_are_left_alone(as_featx) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupt_on_signals()
    with DeferSignals():
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    handler = signal.getsignal(signal.SIGINT)
    seen = []

    def in_a_thread() -> None:
        with DeferSignals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert seen == [handler]
