"""One feature a video: the mean of all its rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featx.store.reader import FeatureStore

ROWS_AT_ONCE = 2**18  # 256 MiB of float16 rows of width 512


def mean_features(store: FeatureStore, ids: Sequence[str]) -> np.ndarray:
    """Returns (V, D) float32 means over the rows of each video; the store is read in parts, in the order of the disk.

    Args:
        store: The store.
        ids: V ids of videos that it has.
    """
    place = {video_id: index for index, video_id in enumerate(ids)}
    on_disk = [video_id for video_id in store if video_id in place]
    rows = np.array([store.rows(video_id) for video_id in on_disk], dtype=np.int64)
    part = np.cumsum(rows) // ROWS_AT_ONCE
    means = np.empty((len(ids), store.header.fingerprint.width), dtype=np.float32)
    for number in np.unique(part):
        some = [on_disk[index] for index in np.flatnonzero(part == number)]
        packed = store.load(some)
        for index, video_id in enumerate(some):
            of_video = packed.features[packed.offsets[index] : packed.offsets[index + 1]]
            means[place[video_id]] = of_video.mean(axis=0, dtype=np.float64)
    return means
