"""Average recall of proposals, with a fixed number of them for every video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featx.metrics.suppression import overlaps

ACTIVITYNET_TIOU = np.linspace(0.5, 0.95, 10)

Spans = tuple[np.ndarray, np.ndarray]  # begins and ends


def average_recall(
    proposals: Sequence[Spans],
    instances: Sequence[Spans],
    most: int,
    thresholds: np.ndarray = ACTIVITYNET_TIOU,
) -> float:
    """Returns the share of instances that a proposal of their video overlaps enough, averaged over thresholds (AR@N).

    As in ActivityNet's proposal task one proposal may find several instances. Other than there, every video has the
    same number of proposals, not the same share of its own.

    Args:
        proposals: Of each video, begins and ends, the best first.
        instances: Of each video, begins and ends of the ground truth.
        most: Proposals of a video that count.
        thresholds: Overlaps that are enough.

    Raises:
        ValueError: If there is no instance at all.
    """
    best = [
        overlaps(starts, ends, found_starts[:most], found_ends[:most]).max(axis=1, initial=0.0)
        for (found_starts, found_ends), (starts, ends) in zip(proposals, instances, strict=True)
    ]
    each = np.concatenate(best) if best else np.empty(0)  # (G,) best overlap of each instance
    if not len(each):
        raise ValueError("no instance")
    return float((each[:, None] >= thresholds).mean())
