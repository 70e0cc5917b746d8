"""Where the features of steps come from: laid on their grids once and kept in memory, or read when they are needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featx.features.sources import free_memory_bytes
from featx.localisation.grid import read_steps
from featx.store.reader import FeatureStore

from .inputs import GridVideo

STATISTICS_VIDEOS = 200
SMALLEST_DEVIATION = 1e-3  # a feature that never changes stays 0


class StepSource:
    """Features of the steps of some videos; safe to use from several threads.

    Attributes:
        location: Where they are, for people.
        reads: Whether asking waits for a disk.
    """

    def __init__(
        self, store: FeatureStore, videos: Sequence[GridVideo], budget_gib: float | None, sharers: int = 1
    ) -> None:
        """Keeps the features in memory if they fit.

        Args:
            store: The store.
            videos: V videos.
            budget_gib: What they may take; None for half of the memory that is free.
            sharers: Processes of this machine that each keep them.
        """
        self._store = store
        self._videos = list(videos)
        fingerprint = store.header.fingerprint
        steps = sum(video.grid.steps for video in videos)
        needed = steps * fingerprint.width * np.dtype(fingerprint.dtype).itemsize
        allowed = free_memory_bytes() // sharers if budget_gib is None else int(budget_gib * 2**30)
        self.reads = needed > allowed
        self.location = "the store" if self.reads else "memory"
        self._kept = (
            []
            if self.reads
            else [self._read(index, 0, video.grid.steps) for index, video in enumerate(videos)]
        )

    def steps(self, video: int, first: int, count: int) -> np.ndarray:
        """Returns (count, D) features of consecutive steps of a video."""
        if self._kept:
            return self._kept[video][first : first + count]
        return self._read(video, first, count)

    def statistics(self, videos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns (D,) mean and (D,) standard deviation of the features of some videos; of many, of an even choice."""
        some = videos[np.linspace(0, len(videos) - 1, min(len(videos), STATISTICS_VIDEOS)).astype(np.int64)]
        count, total, squares = 0, np.zeros(1), np.zeros(1)
        for video in some:
            steps = self.steps(int(video), 0, self._videos[video].grid.steps).astype(np.float64)
            count += len(steps)
            total, squares = total + steps.sum(axis=0), squares + (steps**2).sum(axis=0)
        mean = total / count
        return mean, np.sqrt(np.maximum(squares / count - mean**2, SMALLEST_DEVIATION**2))

    def _read(self, index: int, first: int, count: int) -> np.ndarray:
        video = self._videos[index]

        def rows(row: int, number: int) -> np.ndarray:
            return self._store.read_windows([video.stored], video.first_row + row, number).features

        return read_steps(rows, video.pts, video.grid, first, count)
