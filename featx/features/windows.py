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


def slide(pts: np.ndarray, window_s: float, hop_s: float, length_s: float = np.nan) -> Windows:
    """Places windows so that together they cover the video.

    Every window is ``window_s`` long: the last one is moved back to end with the video, and a shorter video is one
    window. Where the frames are further apart than a window, it has the frame that is on screen when it begins.

    Args:
        pts: (N,) presentation times of the rows in seconds, ascending.
        window_s: Seconds of a window.
        hop_s: Seconds from one to the next, at most ``window_s``.
        length_s: From the first row to the end of the video, as `end_of` takes it.
    """
    return slide_each(pts, np.array([0, len(pts)]), np.array([end_of(pts, length_s)]), window_s, hop_s)[1]


def slide_each(
    pts: np.ndarray, offsets: np.ndarray, ends_s: np.ndarray, window_s: float, hop_s: float
) -> tuple[np.ndarray, Windows]:
    """Places windows in each of V videos, whose N rows stand one after another, as `slide` does in one.

    Args:
        pts: (N,) presentation times of the rows in seconds, ascending within each video.
        offsets: (V + 1,) rows between the videos.
        ends_s: (V,) where each video ends, as `end_of` says.
        window_s: Seconds of a window.
        hop_s: Seconds from one to the next, at most ``window_s``.

    Returns:
        (M,) the video that each window is in, ascending; and the windows, their first rows among all N.
    """
    firsts_s = pts[offsets[:-1]]  # (V,)
    lengths_s = ends_s - firsts_s
    counts = 1 + np.maximum(0, np.ceil((lengths_s - window_s) / hop_s - 1e-9)).astype(np.int64)
    before = np.cumsum(counts) - counts
    video = np.repeat(np.arange(len(counts)), counts)  # (M,)
    place = np.arange(len(video)) - before[video]
    starts = np.maximum(np.minimum(hop_s * place, lengths_s[video] - window_s), 0.0)  # since the first frame
    ends = np.minimum(starts + window_s, lengths_s[video])
    # All videos on one axis, a second apart, so that one search serves them all.
    begins = np.cumsum(lengths_s + 1) - lengths_s  # (V,)
    axis = pts - np.repeat(firsts_s - begins, np.diff(offsets))  # (N,)
    first_row = np.minimum(np.searchsorted(axis, starts + begins[video] - 1e-9), offsets[video + 1] - 1)
    past = np.searchsorted(axis, ends + begins[video] - 1e-9)
    past[before + counts - 1] = offsets[1:]
    nothing = past <= first_row
    first_row = np.where(nothing, np.maximum(first_row - 1, offsets[video]), first_row)
    windows = Windows(
        starts + firsts_s[video], ends + firsts_s[video], first_row, np.maximum(past - first_row, 1)
    )
    return video, windows


def whole(pts: np.ndarray, length_s: float = np.nan) -> Windows:
    """Returns the whole video as one window."""
    return Windows(
        pts[:1], np.array([end_of(pts, length_s)]), np.zeros(1, dtype=np.int64), np.array([len(pts)])
    )


def end_of(pts: np.ndarray, length_s: float = np.nan) -> float:
    """Returns when a video ends.

    Args:
        pts: (N,) presentation times of the rows in seconds, ascending.
        length_s: Seconds from the first row to the end of the last frame, where they are known
            (`featx.features.video_ends`); else the last row is taken to be shown as long as one usually is.
    """
    if np.isfinite(length_s):
        return float(np.maximum(pts[0] + length_s, pts[-1]))
    return float(pts[-1] + np.median(np.diff(pts))) if len(pts) > 1 else float(pts[0])
