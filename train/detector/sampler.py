"""Which videos, and which parts of them, each step sees: a pure function of the seed and the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..adapter.sampler import order
from .inputs import GridVideo

PARTS, PATHS = 4, 5  # streams of their own, beside those of train/adapter/sampler.py
SHORTEST_PART = 0.9  # of a video, or of `longest`: ActionFormer's crop_ratio
SHORTEST_CUT = 0.5  # a segment of which less is left is no longer learned: ActionFormer's trunc_thresh


@dataclass(frozen=True)
class PartDraw:
    """One step's parts of videos.

    Attributes:
        videos: (B,) index of each one's video.
        first: (B,) first step of the part.
        steps: (B,) how many.
        keep: (branches, B) factors of stochastic depth, 0 or 1 / (1 - drop_path).
    """

    videos: np.ndarray
    first: np.ndarray
    steps: np.ndarray
    keep: np.ndarray


@dataclass(frozen=True)
class PartSampler:
    """Draws the steps of a run.

    Attributes:
        seed: Of everything drawn.
        batch: B.
        videos: All videos.
        learned: Indices of those that are learned from.
        longest: Most steps of a part.
        branches: Of the detector.
        drop_path: How often each is left out.
    """

    seed: int
    batch: int
    videos: Sequence[GridVideo]
    learned: np.ndarray
    longest: int
    branches: int
    drop_path: float

    def draw(self, step: int) -> PartDraw:
        """Returns what step 1, 2, … sees."""
        chosen = self.learned[order(self.seed, len(self.learned), (step - 1) * self.batch, self.batch)]
        rng = np.random.default_rng([self.seed, PARTS, step])
        first, steps = np.array([self._part(rng, self.videos[video]) for video in chosen]).T
        paths = np.random.default_rng([self.seed, PATHS, step]).random((self.branches, self.batch))
        keep = (paths >= self.drop_path) / (1 - self.drop_path)
        return PartDraw(chosen, first, steps, keep.astype(np.float32))

    def _part(self, rng: np.random.Generator, video: GridVideo) -> tuple[int, int]:
        """Draws a part that holds the middle of one of the segments."""
        most = min(video.grid.steps, self.longest)
        steps = int(rng.integers(max(round(SHORTEST_PART * most), 1), most + 1))
        middles = video.segments.mean(axis=1)
        middle = int(np.clip(middles[rng.integers(len(middles))], 0, video.grid.steps - 1))
        earliest = max(middle - steps + 1, 0)
        latest = min(middle, video.grid.steps - steps)
        return int(rng.integers(earliest, latest + 1)), steps


def cut(spans: np.ndarray, first: int, steps: int, least: float) -> np.ndarray:
    """Returns what is left of spans (S, 2) in a part of a video, counted from its begin.

    Args:
        spans: Begins and ends in points of the whole video.
        first: First step of the part.
        steps: Its steps.
        least: Share of a span that must be left.
    """
    left = np.clip(spans, first - 0.5, first + steps - 0.5)  # the outer edges of its steps
    length, before = left[:, 1] - left[:, 0], spans[:, 1] - spans[:, 0]
    kept: np.ndarray = left[(length > 0) & (length >= least * before)] - first
    return kept
