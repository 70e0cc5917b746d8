"""What is seen of a long command: a bar on a terminal, a line every so often elsewhere, nothing with --quiet."""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from featx.output import progress as featx_progress
from featx.output.progress import LINE_SECONDS, Progress, duration


def lines_of(seconds_a_step: float, steps: int, quiet: bool = False, done: int = 0) -> list[str]:
    now, shown = [100.0], io.StringIO()
    console = Console(file=shown, soft_wrap=True)
    with Progress("runs/a", steps, "steps", quiet, console, clock=lambda: now[0], done=done) as progress:
        for step in range(done + 1, steps + 1):
            now[0] += seconds_a_step
            progress.show(step, f"loss {step}")
    return shown.getvalue().splitlines()


def test_lines_come_by_time_not_by_step() -> None:
    """61 steps of a second: after 30 s, after 60 s, at the end; of 6 steps of 20 s every second one."""
    assert [line.split(",")[0] for line in lines_of(1, 61)] == [
        f"runs/a: {step} of 61 steps" for step in (30, 60, 61)
    ]
    assert lines_of(20, 6) == [
        "runs/a: 2 of 6 steps, loss 2, about 80 s left",
        "runs/a: 4 of 6 steps, loss 4, about 40 s left",
        "runs/a: 6 of 6 steps, loss 6",
    ]
    assert lines_of(1, int(LINE_SECONDS) - 1) == []  # its own last line says it all
    assert lines_of(1, 100, quiet=True) == []


def test_a_run_that_goes_on_counts_its_own_time_only() -> None:
    assert lines_of(30, 102, done=100)[0] == "runs/a: 101 of 102 steps, loss 101, about 30 s left"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (89, "89 s"), (600, "10 min"), (11100, "3 h 05 min")]
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def on_a_terminal(*words: object) -> str:
    """Runs featx with a terminal for standard error; returns what it showed, escapes and all."""
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}
    process = subprocess.Popen(
        [sys.executable, "-m", "featx", *map(str, words)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=its, env=environment,
    )  # fmt: skip
    os.close(its)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux: nobody writes any more
            part = b""
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait() == 0, shown
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_a_narrow_terminal_cuts_neither_count_nor_figures(width: int) -> None:
    shown, now = io.StringIO(), [0.0]
    console = Console(file=shown, force_terminal=True, width=width, color_system=None)
    figures = "178 frames, 123 frames/s decoded, 123 encoded (limit: encoding), 0 failed"
    with Progress("features", 48, "videos", console=console, clock=lambda: now[0]) as progress:
        now[0] = 10.0
        progress.show(17, figures)
    text = " ".join(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|-:--:--|━", " ", shown.getvalue()).split())
    assert f"17/48 videos {figures}" in text


def words_of_training(world: Path, to: Path) -> list[object]:
    return ["train", "--store", world / "features", "--manifest", world / "manifest.jsonl", "--to", to,
            "--prompts", 2, "--layers", 0, "--batch-size", 8]  # fmt: skip


def test_training_shows_a_bar_on_a_terminal(order_data: Path, tmp_path: Path) -> None:
    shown = on_a_terminal(*words_of_training(order_data, tmp_path / "run"), "--steps", 200)
    assert re.search(r"\d+/200 +steps loss [0-9.]+", shown), shown
    assert "/200" not in shown.rstrip().splitlines()[-1]  # the bar is gone, the summary stays


def test_training_says_lines_elsewhere(
    order_data: Path, tmp_path: Path, featx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(featx_progress, "LINE_SECONDS", 0.0)
    words = [*words_of_training(order_data, tmp_path / "run"), "--steps", 3]
    outcome = featx(*words)
    assert outcome.code == 0, outcome.err
    seen = [line for line in outcome.err.splitlines() if " of 3 steps, loss " in line]
    assert [line.split(": ")[1].split()[0] for line in seen] == ["1", "2", "3"]
    assert "left" in seen[0] and "left" not in seen[2]
    outcome = featx(*words, "--fresh", "--quiet")
    assert outcome.code == 0 and " of 3 steps" not in outcome.err


def test_extraction_counts_frames(
    shape_videos: Path, tmp_path: Path, featx, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bar of videos alone would stand still for an hour in an hour-long one."""
    words = ["extract", shape_videos, "--model", "tiny", "--to"]
    shown = on_a_terminal(*words, tmp_path / "a")
    assert re.search(r"\d/6 +videos [1-9]\d* frames, \d+ frames/s decoded", shown), shown
    monkeypatch.setattr(featx_progress, "LINE_SECONDS", 0.0)
    outcome = featx(*words, tmp_path / "b")
    assert outcome.code == 0, outcome.err
    assert re.search(r"b: \d of 6 videos, [1-9]\d* frames, ", outcome.err), outcome.err
    outcome = featx(*words, tmp_path / "c", "--quiet")
    assert outcome.code == 0 and outcome.err.count("\n") == 1 and "6 videos added" in outcome.err
