"""Which rows of a video make a clip: pure, seeded functions (method: Ju et al. 2022, and its released code).

A clip is T consecutive entries of a strided sequence of the video's rows. Training draws stride, phase and start at
random; evaluation spreads the same three evenly over a video's clips, so that the answer is the same every time.

Source of the sequence: ``_select_indices`` in ``src/data.py`` of the authors' released code. It begins at a phase below
the stride s, ends at the last of N rows, and has round(N / s) entries, evenly spaced and rounded down: its spacing is s
on average only. Where that would be fewer than T entries, it is all rows. docs/training.md says what differs here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Numbers = int | np.ndarray
CLIPS = 5  # of a video that is scored (method, section "Sampling")


@dataclass(frozen=True)
class ClipSampling:
    """How clips are taken of a video.

    Attributes:
        frames: T, rows of a clip.
        strides: Possible strides.
        weights: How often each is drawn in training; need not sum to 1.
        clips: K, clips of a video that is scored; training draws one at a time.

    Raises:
        ValueError: If strides and weights do not say how to take a clip.
    """

    frames: int
    strides: Sequence[int]
    weights: Sequence[float]
    clips: int = CLIPS

    def __post_init__(self) -> None:
        if len(self.strides) != len(self.weights):
            raise ValueError(
                f"strides and stride_weights must have the same length, not {len(self.strides)} and {len(self.weights)}"
            )
        if min(self.strides, default=0) < 1:
            raise ValueError("strides must be 1 or more")
        if not (np.isfinite(self.weights).all() and min(self.weights) >= 0 and sum(self.weights) > 0):
            raise ValueError("stride_weights must be numbers from 0 on, and not all 0")


def clip_rows(rows: Numbers, start: Numbers, stride: Numbers, phase: Numbers, clip_frames: int) -> np.ndarray:
    """Returns (..., T) row indices of clips; of a video with fewer than T rows the last one is repeated.

    Args:
        rows: N, the rows of the video; one number, or one for each clip.
        start: Entry of the strided sequence at which the clip begins.
        stride: s.
        phase: Row below s at which the sequence begins; 0 where it is all rows.
        clip_frames: T.
    """
    rows, entries = np.asarray(rows), entries_count(rows, stride, clip_frames)
    first = np.where(entries == rows, 0, np.minimum(phase, rows - 1))
    wanted = np.asarray(start)[..., None] + np.arange(clip_frames)  # (..., T)
    spaced = wanted * (rows - 1 - first)[..., None] // np.maximum(entries - 1, 1)[..., None]
    placed: np.ndarray = np.minimum(first[..., None] + spaced, (rows - 1)[..., None])
    return placed


def entries_count(rows: Numbers, stride: Numbers, clip_frames: int) -> np.ndarray:
    """Returns how many entries the strided sequence has: all rows where they would be fewer than T."""
    rows = np.asarray(rows)
    strided = np.rint(rows * (1 / np.asarray(stride))).astype(np.int64)  # as the released code rounds
    return np.where(strided < clip_frames, rows, strided)


def starts_count(rows: Numbers, stride: Numbers, clip_frames: int) -> np.ndarray:
    """Returns how many starts a clip can have; the last window counts, a short video has one."""
    count: np.ndarray = np.maximum(entries_count(rows, stride, clip_frames) - clip_frames, 0) + 1
    return count


def draw_clips(rng: np.random.Generator, rows: np.ndarray, sampling: ClipSampling) -> np.ndarray:
    """Draws one training clip of each of B videos.

    Args:
        rng: Source of strides, phases and starts.
        rows: (B,) number of rows of each video.
        sampling: Frames, strides and how often each is drawn.

    Returns:
        (B, T) row indices within each video.
    """
    stride = _strides_at(rng.random(len(rows)), sampling)
    phase = (rng.random(len(rows)) * stride).astype(np.int64)
    start = (rng.random(len(rows)) * starts_count(rows, stride, sampling.frames)).astype(np.int64)
    return clip_rows(rows, start, stride, phase, sampling.frames)


def even_clips(rows: Numbers, sampling: ClipSampling) -> np.ndarray:
    """Spreads K clips over videos: strides as often as in training, phases over each stride, starts from first to last.

    Args:
        rows: N of a video, or (V,) of several.
        sampling: K clips of T frames, and the strides that training draws.

    Returns:
        (..., K, T) row indices; of a video with no more than T rows all clips are equal.
    """
    clips = sampling.clips
    # The middles of K equal parts of the distribution, every other one first: large strides next to small ones.
    parts = np.array([*range(0, clips, 2), *range(1, clips, 2)])
    stride = _strides_at((parts + 0.5) / clips, sampling)  # (K,)
    same = stride[:, None] == stride
    place = np.tril(same, -1).sum(axis=1)  # among the clips of this stride
    phase = ((place + 0.5) / same.sum(axis=1) * stride).astype(np.int64)
    rows = np.asarray(rows)[..., None]  # (..., 1)
    share = np.linspace(0, 1, clips) if clips > 1 else np.array([0.5])
    start = np.rint(share * (starts_count(rows, stride, sampling.frames) - 1)).astype(np.int64)
    return clip_rows(np.broadcast_to(rows, start.shape), start, stride, phase, sampling.frames)


def _strides_at(quantiles: np.ndarray, sampling: ClipSampling) -> np.ndarray:
    """Returns the strides at quantiles of their distribution, each in [0, 1)."""
    up_to = np.cumsum(sampling.weights) / np.sum(sampling.weights)
    up_to[-1] = 1.0  # not a rounding error below it
    return np.asarray(sampling.strides)[np.searchsorted(up_to, quantiles, side="right")]
