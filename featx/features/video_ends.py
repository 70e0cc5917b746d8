"""When the videos of a store end: the end of their last frame, which is later than the last row that shows one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featx.store.reader import FeatureStore


def lengths_of(store: FeatureStore, ids: Sequence[str]) -> np.ndarray:
    """Returns (V,) seconds from each video's first row to the end of its last frame; NaN where the store does not know.

    Raises:
        FeatxError: If a video is not in the store, or its record is damaged.
    """
    video_info = store.video_info(ids)
    known = [video_info[video_id].duration_s for video_id in ids]
    lengths = np.array([np.nan if duration_s is None else duration_s for duration_s in known], np.float64)
    kind, _, count = store.header.fingerprint.sampling.partition(" ")
    if (
        kind == "frames" and count.isdigit()
    ):  # the first row is the middle of the first of so many equal parts
        lengths *= 1 - 1 / (2 * int(count))
    return lengths
