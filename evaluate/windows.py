"""Sliding windows over a video's rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Windows:
    """M windows of a video.

    Attributes:
        start_s: (M,) where each begins, in seconds.
        end_s: (M,) where it ends.
        first_row: (M,) its first row.
        rows: (M,) how many rows it has, at least one.
    """

    start_s: np.ndarray
    end_s: np.ndarray
    first_row: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def slide(pts: np.ndarray, window_s: float, hop_s: float) -> Windows:
    """Places windows so that together they cover the video.

    Every window is ``window_s`` long: the last one is moved back to end with the video, and a shorter video is one
    window. Where the frames are further apart than a window, it has the frame that is on screen when it begins.

    Args:
        pts: (N,) presentation times of the rows in seconds, ascending.
        window_s: Seconds of a window.
        hop_s: Seconds from one to the next, at most ``window_s``.
    """
    first, end = float(pts[0]), end_of(pts)
    count = 1 + max(0, int(np.ceil((end - first - window_s) / hop_s - 1e-9)))
    starts = first + hop_s * np.arange(count)
    starts = np.maximum(np.minimum(starts, end - window_s), first)
    ends = np.minimum(starts + window_s, end)
    first_row = np.minimum(np.searchsorted(pts, starts - 1e-9), len(pts) - 1)
    past = np.searchsorted(pts, ends - 1e-9)
    past[-1] = len(pts)
    nothing = past <= first_row
    first_row = np.where(nothing, np.maximum(first_row - 1, 0), first_row)
    return Windows(starts, ends, first_row, np.maximum(past - first_row, 1))


def whole(pts: np.ndarray) -> Windows:
    """Returns the whole video as one window."""
    return Windows(pts[:1], np.array([end_of(pts)]), np.zeros(1, dtype=np.int64), np.array([len(pts)]))


def end_of(pts: np.ndarray) -> float:
    """Returns when a video ends: its last frame is taken to be shown as long as one usually is."""
    return float(pts[-1] + np.median(np.diff(pts))) if len(pts) > 1 else float(pts[0])
