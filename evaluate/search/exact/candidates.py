"""What can be found in a stretch of a store: each frame, each window of some lengths, or each video.

All of them are runs of consecutive rows, called candidates here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from featx.errors import FeatxError
from featx.features.video_ends import lengths_of
from featx.features.windows import end_of, slide_each
from featx.store.reader import FeatureStore, Stretch

from .settings import SearchSettings

HOPS_A_WINDOW = 4  # a moment of a window's length lies at most an eighth of it beside the nearest window


@dataclass(frozen=True)
class Candidates:
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

    def choose(self, chosen: np.ndarray) -> Candidates:
        """Returns some of them, by their indices or by (M,) truth values."""
        return Candidates(*(column[chosen] for column in vars(self).values()))


def candidates_of_each(
    store: FeatureStore, stretches: Iterable[Stretch], settings: SearchSettings
) -> Iterator[tuple[Stretch, Candidates]]:
    """Yields stretches and what can be found in them.

    Raises:
        FeatxError: As `candidates_of`.
    """
    stretches = list(stretches)
    ids = [video_id for stretch in stretches for video_id in stretch.ids]
    lengths_s = lengths_of(store, ids)  # at once: each shard's record is read once
    first = 0
    for stretch in stretches:
        past = first + len(stretch.ids)
        yield stretch, candidates_of(store, stretch, settings, lengths_s[first:past])
        first = past


def candidates_of(
    store: FeatureStore, stretch: Stretch, settings: SearchSettings, lengths_s: np.ndarray
) -> Candidates:
    """Lists what can be found in a stretch.

    Args:
        store: Features.
        stretch: Some of its videos.
        settings: What is searched for.
        lengths_s: (V,) length of each video, as `ends_of` takes it.

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
        return moments(pts, offsets, settings.windows, lengths_s)
    make = frames if settings.level == "frames" else whole_videos
    return make(pts, offsets, lengths_s)


def ends_of(pts: np.ndarray, offsets: np.ndarray, lengths_s: np.ndarray | None = None) -> np.ndarray:
    """Returns (V,) when each video ends, as `end_of` says.

    Args:
        pts: (N,) presentation times of the rows in seconds, ascending within each video.
        offsets: (V + 1,) rows between the videos.
        lengths_s: (V,) seconds from each one's first row to its end; NaN (or None for all) where nobody knows.
    """
    lengths = np.full(len(offsets) - 1, np.nan) if lengths_s is None else lengths_s
    pairs = zip(itertools.pairwise(offsets), lengths, strict=True)
    return np.array([end_of(pts[a:b], length_s) for (a, b), length_s in pairs])


def frames(pts: np.ndarray, offsets: np.ndarray, lengths_s: np.ndarray | None = None) -> Candidates:
    """Returns every row; it lasts until the next one is shown."""
    video = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    ends = np.append(pts[1:], 0.0)
    ends[offsets[1:] - 1] = ends_of(pts, offsets, lengths_s)
    return Candidates(video, np.arange(len(pts)), np.ones(len(pts), np.int64), pts, ends)


def whole_videos(pts: np.ndarray, offsets: np.ndarray, lengths_s: np.ndarray | None = None) -> Candidates:
    """Returns every video."""
    videos = np.arange(len(offsets) - 1)
    ends = ends_of(pts, offsets, lengths_s)
    return Candidates(videos, offsets[:-1], np.diff(offsets), pts[offsets[:-1]], ends)


def moments(
    pts: np.ndarray, offsets: np.ndarray, windows_s: list[float], lengths_s: np.ndarray | None = None
) -> Candidates:
    """Returns sliding windows of several lengths, each moved on by a quarter of its length.

    A video shorter than a window is a window of its own, once.

    Args:
        pts: (N,) presentation times in seconds, ascending within each video.
        offsets: (V + 1,) rows between the videos.
        windows_s: Ascending lengths in seconds.
        lengths_s: (V,) length of each video, as `ends_of` takes it.
    """
    ends = ends_of(pts, offsets, lengths_s)
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
    return Candidates(*(np.concatenate(column) for column in zip(*parts, strict=True)))
