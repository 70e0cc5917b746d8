"""Which rows of a video make a clip: pure, seeded functions (method: Ju et al. 2022, and its released code).

A clip is T consecutive entries of the video's rows taken with a stride. Training draws stride and start at random;
evaluation places clips evenly, so that the answer is the same every time.
"""

from __future__ import annotations

import numpy as np


def clip_rows(
    rows: int | np.ndarray, start: int | np.ndarray, stride: int | np.ndarray, clip_frames: int
) -> np.ndarray:
    """Returns (..., T) row indices of clips; past the end the last row that the stride reaches is repeated.

    Args:
        rows: N, the rows of the video; one number, or one for each clip.
        start: Entry of the strided sequence 0, s, 2 s, … at which the clip begins.
        stride: s.
        clip_frames: T.
    """
    last_entry = np.asarray(starts_count(rows, stride, 1) - 1)
    entries = np.asarray(start)[..., None] + np.arange(clip_frames)  # (..., T)
    return np.minimum(entries, last_entry[..., None]) * np.asarray(stride)[..., None]


def starts_count(rows: int | np.ndarray, stride: int | np.ndarray, clip_frames: int) -> np.ndarray:
    """Returns how many starts a clip can have; the last window counts, a short video has one."""
    return np.maximum(-(-np.asarray(rows) // stride) - clip_frames, 0) + 1


def draw_clips(
    rng: np.random.Generator, rows: np.ndarray, clip_frames: int, strides: list[int], weights: list[float]
) -> np.ndarray:
    """Draws one training clip of each of B videos.

    Args:
        rng: Source of strides and starts.
        rows: (B,) number of rows of each video.
        clip_frames: T.
        strides: Possible strides.
        weights: How often each is drawn; need not sum to 1.

    Returns:
        (B, T) row indices within each video.
    """
    up_to = np.cumsum(weights) / np.sum(weights)
    up_to[-1] = 1.0  # not a rounding error below it
    chosen = np.asarray(strides)[np.searchsorted(up_to, rng.random(len(rows)), side="right")]
    starts = (rng.random(len(rows)) * starts_count(rows, chosen, clip_frames)).astype(np.int64)
    return clip_rows(rows, starts, chosen, clip_frames)


def even_clips(
    rows: int, clip_frames: int, clips: int, strides: list[int], weights: list[float]
) -> np.ndarray:
    """Places clips evenly over a video.

    The stride is the one drawn most often in training, or the largest smaller one with which T rows fit.

    Returns:
        (clips, T) row indices; for a short video all clips are equal.
    """
    usual = strides[int(np.argmax(weights))]
    fitting = [s for s in strides if s <= usual and -(-rows // s) >= clip_frames]
    stride = max(fitting, default=min(strides))
    starts = np.linspace(0, starts_count(rows, stride, clip_frames) - 1, clips).round().astype(np.int64)
    return clip_rows(rows, starts, stride, clip_frames)
