"""Proposals without training: grouping of a score over time by flooding (TAG).

Source: Zhao et al., "Temporal Action Detection with Structured Segment Networks", ICCV 2017, section 5. There the score is
a trained classifier's; here it is how far a moment's feature lies from the video's mean feature, so that "something
happens" means "it looks unlike the rest of the video". No text, class or annotation is used.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from featx.localisation.grid import Grid, ReadRows
from featx.localisation.proposals_file import Proposals
from featx.localisation.selection import SelectionSettings, select

STEP_S = 0.2
STEPS_AT_ONCE = 4096
LEVELS = np.arange(0.05, 1.0, 0.05)  # of the water, and of how much of a group must stand out: TAG's grid
FLANK = 0.25  # of a proposal's length, on either side: what it must stand out from


def actionness(read: ReadRows, grid: Grid) -> np.ndarray:
    """Returns (T,) how unlike the video's mean each step is: 1 - cosine, stretched to 0 (least) and 1 (most).

    Args:
        read: Reads steps of the grid; twice, a bounded number at a time.
        grid: The video's.
    """
    total: np.ndarray | float = 0.0
    for steps in _chunks(read, grid):
        total = total + _unit(steps).sum(axis=0, dtype=np.float64)
    mean = _unit(np.asarray(total)[None])[0]
    score = np.concatenate([1 - _unit(steps) @ mean for steps in _chunks(read, grid)])
    low, high = score.min(), score.max()
    return (score - low) / (high - low) if high > low else np.zeros_like(score)


def _chunks(read: ReadRows, grid: Grid) -> Iterator[np.ndarray]:
    for first in range(0, grid.steps, STEPS_AT_ONCE):
        yield read(first, min(STEPS_AT_ONCE, grid.steps - first))


def _unit(features: np.ndarray) -> np.ndarray:
    features = features.astype(np.float64)
    scaled: np.ndarray = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return scaled


def groups(score: np.ndarray) -> np.ndarray:
    """Returns (P, 2) first steps and steps past the last of all groups, at every level of the water; each once.

    At a water level the islands are the runs of steps whose score reaches it. A group begins with an island and takes the
    next ones as long as islands are at least a given share of it.

    Args:
        score: (T,) from 0 to 1.
    """
    found: dict[tuple[int, int], None] = {}
    for level in LEVELS:
        above = np.concatenate([[False], score >= level, [False]])
        begins, ends = np.flatnonzero(above[1:] & ~above[:-1]), np.flatnonzero(above[:-1] & ~above[1:])
        land = np.concatenate([[0], np.cumsum(ends - begins)])
        for island, begin in enumerate(begins):
            share = (land[island + 1 :] - land[island]) / (ends[island:] - begin)  # of a group up to each
            for least in LEVELS:
                short = share < least
                last = island + (int(short.argmax()) if short.any() else len(share)) - 1
                found[(int(begin), int(ends[last]))] = None
    return np.array(list(found), dtype=np.int64).reshape(-1, 2)


def contrast(score: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Returns (P,) the mean score of spans minus that of their flanks; 0 where it is less.

    Args:
        score: (T,).
        spans: (P, 2) first steps and steps past the last.
    """
    sums = np.concatenate([[0.0], np.cumsum(score)])
    begin, end = spans.T
    flank = np.maximum(np.round(FLANK * (end - begin)).astype(np.int64), 1)
    left, right = np.maximum(begin - flank, 0), np.minimum(end + flank, len(score))
    inside = (sums[end] - sums[begin]) / (end - begin)
    around = (begin - left) + (right - end)
    outside = (sums[begin] - sums[left] + sums[right] - sums[end]) / np.maximum(around, 1)
    above: np.ndarray = np.maximum(inside - outside, 0.0)
    return above


def watershed(read: ReadRows, grid: Grid, settings: SelectionSettings) -> Proposals:
    """Returns the proposals of a video.

    Args:
        read: Reads steps of the grid.
        grid: The video's.
        settings: Which proposals are kept.
    """
    score = actionness(read, grid)
    spans = groups(score)
    times = np.clip(grid.seconds_of(spans - 0.5), max(grid.start_s, 0.0), grid.end_s)
    return select(Proposals(times[:, 0], times[:, 1], contrast(score, spans)), settings)
