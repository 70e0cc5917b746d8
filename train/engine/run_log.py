"""The curves of a run: JSON lines for programs, TensorBoard for eyes.

``log.jsonl`` is the truth. A resumed run cuts it back to its checkpoint and draws TensorBoard's curves anew from it, so
that no step is there twice.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

from featx.files.atomic import write_atomically

LOG_FILE = "log.jsonl"


class RunLog:
    """Writes each line to ``log.jsonl`` and to TensorBoard."""

    def __init__(self, run: Path, done_steps: int = 0) -> None:
        """Opens the log.

        Args:
            run: The run's folder.
            done_steps: Steps that the run goes on from; what was logged after them is forgotten.
        """
        from torch.utils.tensorboard import SummaryWriter

        file, curves = run / LOG_FILE, run / "tensorboard"
        lines = _lines_until(file, done_steps)
        write_atomically(file, "".join(json.dumps(line) + "\n" for line in lines).encode())
        shutil.rmtree(curves, ignore_errors=True)
        self._file = file.open("a", encoding="utf-8")
        self._hook, threading.excepthook = threading.excepthook, _leave_to_the_next_line
        self._curves = SummaryWriter(str(curves))
        for line in lines:
            self._draw(line)

    def write(self, step: int, **values: float) -> None:
        """Adds the values of one step."""
        line = {"step": step, **values}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        self._draw(line)

    def sync(self) -> None:
        """Flushes the log to the disk: a checkpoint's steps must not be missing in it after a crash."""
        os.fsync(self._file.fileno())

    def _draw(self, line: dict[str, float]) -> None:
        for name, value in line.items():
            if name not in ("step", "seconds"):
                self._curves.add_scalar(name, value, line["step"])

    def close(self) -> None:
        """Writes what is left."""
        try:
            self._file.close()
            self._curves.close()
        finally:
            threading.excepthook = self._hook


def _leave_to_the_next_line(said: threading.ExceptHookArgs) -> None:
    """Keeps the traceback of TensorBoard's thread to itself: what went wrong is raised again by the next line."""
    if not isinstance(said.exc_value, OSError):
        threading.__excepthook__(said)


def _lines_until(file: Path, step: int) -> list[dict[str, float]]:
    if step == 0 or not file.exists():
        return []
    lines = []
    for text in file.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:  # the last one, if the run was killed while it wrote
            continue
        if line["step"] <= step:
            lines.append(line)
    return lines
