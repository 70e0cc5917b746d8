"""The clips of each step, read ahead of it when they are not in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from featx.devices import use_gpu
from featx.features.sources import Source

from ..engine.ranks import Ranks, shards
from .sampler import ClipDraw, StepSampler

STEPS_AHEAD_OF_EACH_WORKER = 2
Read = TypeVar("Read")


@dataclass(frozen=True)
class Batch:
    """One step as this rank sees it.

    Attributes:
        draw: The whole step, the same on every rank.
        slices: The step's B clips in the parts that go through the temporal Transformer one after another.
        clips: This rank's clips of each part, (b, T, D).
    """

    draw: ClipDraw
    slices: list[slice]
    clips: list[Tensor]


class Loader:
    """Turns draws into batches on the device."""

    def __init__(
        self, sampler: StepSampler, source: Source, ranks: Ranks, accumulate: int, workers: int
    ) -> None:
        self._sampler = sampler
        self.source = source
        self._device = ranks.device
        self._workers = workers
        self._slices = shards(sampler.batch, accumulate)
        own = [ranks.shard(s.stop - s.start) for s in self._slices]
        self._own = np.concatenate(
            [np.arange(s.start + o.start, s.start + o.stop) for s, o in zip(self._slices, own, strict=True)]
        )
        self._sizes = [o.stop - o.start for o in own]

    def batches(self, first: int, last: int) -> Generator[Batch, None, None]:
        """Yields the steps ``first`` to ``last``, both included."""
        workers = self._workers if self.source.reads else 0
        for draw, clips in read_ahead(self._read, first, last, workers, self._device):
            yield self._to_device(draw, clips)

    def _read(self, step: int) -> tuple[ClipDraw, Tensor]:
        draw = self._sampler.draw(step)
        clips = self.source.gather(draw.videos[self._own], draw.rows[self._own])  # (b, T, D)
        return draw, clips.pin_memory() if self._device != "cpu" and clips.device.type == "cpu" else clips

    def _to_device(self, draw: ClipDraw, clips: Tensor) -> Batch:
        clips = clips.to(self._device, non_blocking=True)
        return Batch(draw, self._slices, list(torch.split(clips, self._sizes)))


def read_ahead(
    read: Callable[[int], Read], first: int, last: int, workers: int, device: str
) -> Generator[Read, None, None]:
    """Yields what ``read`` returns for the steps ``first`` to ``last``, in order; threads read the next ones meanwhile.

    Args:
        read: Reads a step.
        first: First step.
        last: Last step.
        workers: Threads; 0 for none, where nothing has to be waited for.
        device: That they read for.
    """
    if not workers:
        for step in range(first, last + 1):
            yield read(step)
        return
    with ThreadPoolExecutor(workers, "featx-loader", use_gpu, (device,)) as pool:
        waiting: deque[Future[Read]] = deque()
        try:
            for step in range(first, last + 1):
                waiting.append(pool.submit(read, step))
                if len(waiting) > STEPS_AHEAD_OF_EACH_WORKER * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
