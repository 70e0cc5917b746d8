"""Where the time of the steps goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

PHASES = ("loader", "text", "temporal", "exchange", "optimiser")
GPU_INTERVAL = 10


class Stopwatch:
    """Adds up the seconds of each phase.

    A GPU works behind the program's back: there every tenth step is measured, with the GPU waited for at each border.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._on = True
        self._step_began = 0.0
        self.seconds = dict.fromkeys((*PHASES, "all"), 0.0)

    def begin(self, step: int) -> None:
        """Begins a step."""
        self._on = self._device == "cpu" or step % GPU_INTERVAL == 0
        self._step_began = self._now() if self._on else 0.0

    def end(self) -> None:
        """Ends a step."""
        if self._on:
            self.seconds["all"] += self._now() - self._step_began

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the time of a ``with`` block to a phase."""
        if not self._on:
            yield
            return
        began = self._now()
        yield
        self.seconds[name] += self._now() - began

    def shares(self) -> dict[str, float]:
        """Returns each phase's share of the steps' time."""
        whole = self.seconds["all"] or 1.0
        return {name: round(self.seconds[name] / whole, 4) for name in PHASES}

    def _now(self) -> float:
        if self._device != "cpu":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
