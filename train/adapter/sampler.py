"""What each step sees: a pure function of the seed and the step, so that resuming and several devices are exact."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from featx.features.clips import ClipSampling, draw_clips

# Every kind of draw has a stream of its own: drawing more of one never moves another.
ORDER, CLIPS, CLASSES, VALIDATION, CAPTIONS, BACKGROUND = range(6)
STEPS_TOGETHER = 32


@dataclass(frozen=True)
class ClipDraw:
    """One step's clips, and the texts that they are compared with.

    Attributes:
        videos: (B,) index of each clip's video.
        rows: (B, T) rows of the clip within its video.
        texts: (C,) indices of the texts of this step, ascending.
        targets: (B,) position of each clip's own text among ``texts``.
        ignored: (B, C) bool, further texts that are right for a clip; None where there are none.
    """

    videos: np.ndarray
    rows: np.ndarray
    texts: np.ndarray
    targets: np.ndarray
    ignored: np.ndarray | None = None


class StepSampler(Protocol):
    """Says what each step sees."""

    @property
    def batch(self) -> int:
        """B, clips of a step."""
        ...

    def draw(self, step: int) -> ClipDraw:
        """Returns what step 1, 2, … sees."""
        ...


@dataclass(frozen=True)
class Clips:
    """The clips of a step, or of several.

    Attributes:
        videos: (B,) index of each clip's video.
        rows: (B, T) rows of the clip within its video.
        passes: (B,) how often its video was seen before.
    """

    videos: np.ndarray
    rows: np.ndarray
    passes: np.ndarray


@dataclass
class ClipStream:
    """Which clips each step sees, whatever they are compared with: shuffled passes over the videos.

    Attributes:
        seed: Of everything drawn.
        batch: B, clips of a step.
        videos: Indices of the videos that are learned from.
        row_counts: (V,) rows of every video, also of those that are not learned from.
        sampling: How a clip is taken of a video.
    """

    seed: int
    batch: int
    videos: np.ndarray
    row_counts: np.ndarray
    sampling: ClipSampling

    def __post_init__(self) -> None:
        self._drawn = self._draw_together(0)

    def draw(self, step: int) -> Clips:
        """Returns the clips of step 1, 2, …."""
        number, place = divmod(step - 1, STEPS_TOGETHER)
        drawn = self._drawn  # several threads may ask: each goes on with the one that it looked at
        if drawn[0] != number:
            drawn = self._drawn = self._draw_together(number)
        own = slice(place * self.batch, (place + 1) * self.batch)
        clips = drawn[1]
        return Clips(clips.videos[own], clips.rows[own], clips.passes[own])

    def _draw_together(self, number: int) -> tuple[int, Clips]:
        """Draws the clips of `STEPS_TOGETHER` steps at once: for small models it is NumPy's calls that cost."""
        count = STEPS_TOGETHER * self.batch
        first = number * count
        videos = self.videos[order(self.seed, len(self.videos), first, count)]
        rng = np.random.default_rng([self.seed, CLIPS, number])
        rows = draw_clips(rng, self.row_counts[videos], self.sampling)
        return number, Clips(videos, rows, np.arange(first, first + count) // len(self.videos))


@dataclass(frozen=True)
class ClassSampler:
    """Draws the steps of a run that tells classes apart.

    Attributes:
        clips: Says which clips each step sees.
        labels: (V,) class of every video, also of those that are not learned from.
        classes: C, all classes.
        class_limit: Above this many classes, a step sees the batch's and random others.
    """

    clips: ClipStream
    labels: np.ndarray
    classes: int
    class_limit: int

    @property
    def batch(self) -> int:
        """B, clips of a step."""
        return self.clips.batch

    def draw(self, step: int) -> ClipDraw:
        """Returns what step 1, 2, … sees."""
        clips = self.clips.draw(step)
        labels = self.labels[clips.videos]
        texts = class_list([self.clips.seed, CLASSES, step], labels, self.classes, self.class_limit)
        return ClipDraw(clips.videos, clips.rows, texts, np.searchsorted(texts, labels))


def order(seed: int, videos: int, first: int, count: int) -> np.ndarray:
    """Returns places ``first`` to ``first + count`` of an endless row of shuffled passes over the videos."""
    places = np.arange(first, first + count)
    shuffled = [
        _pass(seed, videos, number)[places[places // videos == number] % videos]
        for number in range(first // videos, places[-1] // videos + 1)
    ]
    return np.concatenate(shuffled)


@lru_cache(maxsize=2)
def _pass(seed: int, videos: int, number: int) -> np.ndarray:
    return np.random.default_rng([seed, ORDER, number]).permutation(videos)


def class_list(seed: list[int], labels: np.ndarray, classes: int, limit: int) -> np.ndarray:
    """Returns the classes that a step compares with: all, or the batch's and random others up to ``limit``.

    Source: the authors' released code.
    """
    if classes <= limit:
        return np.arange(classes)
    present = np.unique(labels)
    others = np.setdiff1d(np.arange(classes), present)
    extra = np.random.default_rng(seed).choice(others, max(limit - len(present), 0), replace=False)
    return np.sort(np.concatenate([present, extra]))


def keep_back(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Chooses videos for validation: the same share of every class, at least one, never the whole class.

    A class with a single video keeps it for training.

    Args:
        labels: (V,) classes.
        share: Share of each class's videos.
        seed: Of the choice.

    Returns:
        (V,) bool, true where a video is kept back.
    """
    rng = np.random.default_rng([seed, VALIDATION])
    kept = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        videos = rng.permutation(np.flatnonzero(labels == label))
        count = min(max(round(share * len(videos)), 1), len(videos) - 1)
        kept[videos[:count]] = share > 0
    return kept
