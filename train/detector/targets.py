"""What the points of a pyramid should say: ActionFormer's rules of which point learns which segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from featx.localisation.detector_config import DetectorConfig


@dataclass(frozen=True)
class Targets:
    """What P points of one video, all levels one after another, should say.

    Attributes:
        score: (P,) float32, 1 where a point learns a segment.
        distances: (P, 2) float32 to its begin and end, in strides.
        counts: (P,) bool, whether the score is learned there at all; not in ambiguous parts.
    """

    score: np.ndarray
    distances: np.ndarray
    counts: np.ndarray


def targets_of(
    config: DetectorConfig, steps: int, segments: np.ndarray, ambiguous: np.ndarray, centre_radius: float
) -> Targets:
    """Says for each point whether it learns a segment, and which.

    It does if it lies inside, at most ``centre_radius`` strides from the middle, and the farther end is as far as its
    level is for; of several segments it learns the shortest.

    Args:
        config: Of the detector.
        steps: T, which decides how many points there are.
        segments: (S, 2) begins and ends, in points of the grid.
        ambiguous: (A, 2) parts in which a point that learns no segment learns nothing.
        centre_radius: In strides.
    """
    parts = [
        _of_level(np.arange(0, steps, stride), stride, bounds, segments, ambiguous, centre_radius)
        for stride, bounds in zip(config.strides, config.ranges, strict=True)
    ]
    return Targets(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _of_level(
    points: np.ndarray,
    stride: int,
    bounds: tuple[float, float],
    segments: np.ndarray,
    ambiguous: np.ndarray,
    centre_radius: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    unsure = np.asarray(_inside(points, ambiguous).any(axis=1))  # (P,)
    if not len(segments):
        return np.zeros(len(points), np.float32), np.zeros((len(points), 2), np.float32), ~unsure
    before = points[:, None] - segments[:, 0]  # (P, S)
    after = segments[:, 1] - points[:, None]
    middle = segments.mean(axis=1)
    farther = np.maximum(before, after)
    learns = (
        _inside(points, segments)
        & (np.abs(points[:, None] - middle) < centre_radius * stride)
        & (farther >= bounds[0])
        & (farther <= bounds[1])
    )
    length = np.where(learns, segments[:, 1] - segments[:, 0], np.inf)
    chosen = length.argmin(axis=1)
    score = learns.any(axis=1)
    rows = np.arange(len(points))
    distances = np.stack([before[rows, chosen], after[rows, chosen]], axis=1) / stride
    distances[~score] = 0
    return score.astype(np.float32), distances.astype(np.float32), score | ~unsure


def _inside(points: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Returns (P, S) whether points lie strictly inside spans."""
    return (points[:, None] > spans[:, 0]) & (points[:, None] < spans[:, 1])
