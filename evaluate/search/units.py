"""What can be found in a stretch of a store: each frame, each window of some lengths, or each video.

All of them are runs of consecutive rows, called units here.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from featx.errors import FeatxError
from featx.evaluate.predict.windows import end_of, slide_each
from featx.evaluate.search.settings import SearchSettings
from featx.store.reader import FeatureStore, Stretch

HOPS_A_WINDOW = 4  # a moment of a window's length lies at most an eighth of it beside the nearest window


@dataclass(frozen=True)
class Units:
    """M runs of rows.

    Attributes:
        video: (M,) int64, index of each one's video within the stretch.
        first_row: (M,) int64, first row within the stretch.
        rows: (M,) int64, at least 1.
        start_s: (M,) seconds; NaN where the store does not know times.
        end_s: (M,) seconds, likewise.
    """

    video: np.ndarray
    first_row: np.ndarray
    rows: np.ndarray
    start_s: np.ndarray
    end_s: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def choose(self, chosen: np.ndarray) -> Units:
        """Returns some of them, by their indices or by (M,) truth values."""
        return Units(*(column[chosen] for column in vars(self).values()))


def units_of(store: FeatureStore, stretch: Stretch, settings: SearchSettings) -> Units:
    """Lists what can be found in a stretch.

    Raises:
        FeatxError: If moments are wanted and the store does not know when rows are shown.
    """
    pts, offsets = store.pts_of(stretch), stretch.offsets
    if settings.level == "moments":
        if not np.isfinite(pts).all():
            unknown = stretch.ids[int(np.searchsorted(offsets, np.isfinite(pts).argmin(), "right")) - 1]
            raise FeatxError(
                f"{store.path}: does not know when the rows of '{unknown}' are shown, so there are no moments; take "
                "--level videos or frames"
            )
        return moments(pts, offsets, settings.windows)
    return frames(pts, offsets) if settings.level == "frames" else whole_videos(pts, offsets)


def ends_of(pts: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Returns (V,) when each video ends."""
    return np.array([end_of(pts[a:b]) for a, b in itertools.pairwise(offsets)])


def frames(pts: np.ndarray, offsets: np.ndarray) -> Units:
    """Returns every row; it lasts until the next one is shown."""
    video = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    ends = np.append(pts[1:], 0.0)
    ends[offsets[1:] - 1] = ends_of(pts, offsets)
    return Units(video, np.arange(len(pts)), np.ones(len(pts), np.int64), pts, ends)


def whole_videos(pts: np.ndarray, offsets: np.ndarray) -> Units:
    """Returns every video."""
    videos = np.arange(len(offsets) - 1)
    return Units(videos, offsets[:-1], np.diff(offsets), pts[offsets[:-1]], ends_of(pts, offsets))


def moments(pts: np.ndarray, offsets: np.ndarray, windows_s: list[float]) -> Units:
    """Returns sliding windows of several lengths, each moved on by a quarter of its length.

    A video shorter than a window is a window of its own, once.

    Args:
        pts: (N,) presentation times in seconds, ascending within each video.
        offsets: (V + 1,) rows between the videos.
        windows_s: Ascending lengths in seconds.
    """
    ends = ends_of(pts, offsets)
    durations = ends - pts[offsets[:-1]]
    parts = []
    for shorter_s, window_s in zip([-1.0, *windows_s], windows_s, strict=False):
        video, windows = slide_each(pts, offsets, ends, window_s, window_s / HOPS_A_WINDOW)
        new = durations[video] > shorter_s  # else the shorter length took it whole
        parts.append(
            [
                column[new]
                for column in (video, windows.first_row, windows.rows, windows.start_s, windows.end_s)
            ]
        )
    return Units(*(np.concatenate(column) for column in zip(*parts, strict=True)))
