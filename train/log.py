"""The curves of a run: JSON lines for programs, TensorBoard for eyes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType

LOG_FILE = "log.jsonl"


class RunLog:
    """Writes each line to ``log.jsonl`` and to TensorBoard; used as a context manager."""

    def __init__(self, run: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._file = (run / LOG_FILE).open("w", encoding="utf-8")
        self._curves = SummaryWriter(str(run / "tensorboard"))
        self._began = time.monotonic()

    def write(self, step: int, **values: float) -> None:
        """Adds the values of one step."""
        line = {"step": step, **values, "seconds": round(time.monotonic() - self._began, 3)}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._curves.add_scalar(name, value, step)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._curves.close()
