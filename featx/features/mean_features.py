"""One feature a video: the mean of all its rows."""

from __future__ import annotations

import numpy as np

from featx.features.dataset import StoredParts
from featx.store.reader import FeatureStore

ROWS_AT_ONCE = 2**18  # 256 MiB of float16 rows of width 512


def mean_features(store: FeatureStore, videos: StoredParts) -> np.ndarray:
    """Returns (V, D) float32 means over the rows of each video; the store is read in parts, in the order of the disk.

    Args:
        store: The store.
        videos: V videos, or parts of them, that it has.
    """
    number_of = store.index.number_of
    numbers = np.array([number_of[video_id] for video_id in videos.stored], dtype=np.int64)
    order = np.lexsort((videos.first_rows, numbers))
    part = np.cumsum(videos.rows[order]) // ROWS_AT_ONCE
    means = np.empty((len(videos), store.header.fingerprint.width), dtype=np.float32)
    for number in np.unique(part):
        some = order[part == number]
        ids = [videos.stored[index] for index in some]
        packed = store.read_windows(ids, videos.first_rows[some], videos.rows[some])
        for index, first, past in zip(some, packed.offsets[:-1], packed.offsets[1:], strict=True):
            means[index] = packed.features[first:past].mean(axis=0, dtype=np.float64)
    return means
