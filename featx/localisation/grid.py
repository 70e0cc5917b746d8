"""The even steps in time on which a detector works, made from when a store's rows are shown.

A step's feature is the mean of the rows that are shown during it, each weighted by how long: whatever the frame rate, and
whether it varies, a step is the same stretch of time. Nobody has to type a frame rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# First row and number of rows to features (N, D).
ReadRows = Callable[[int, int], np.ndarray]
SLACK = 1e-6  # of a step: a rest of a video as short as this is rounding


@dataclass(frozen=True)
class Grid:
    """Steps of a video: step i is from ``start_s + i * step_s`` to ``start_s + (i + 1) * step_s``.

    Points are counted in steps; point i is the middle of step i.

    Attributes:
        start_s: When the first row is shown.
        step_s: Seconds of a step.
        steps: How many.
        end_s: Until when the last row is shown.
    """

    start_s: float
    step_s: float
    steps: int
    end_s: float

    def points_of(self, seconds: np.ndarray) -> np.ndarray:
        """Returns where times lie, in points."""
        return (seconds - self.start_s) / self.step_s - 0.5

    def seconds_of(self, points: np.ndarray) -> np.ndarray:
        """Returns the times of points."""
        return (points + 0.5) * self.step_s + self.start_s


def make_grid(pts: np.ndarray, step_s: float | None, steps: int | None) -> Grid:
    """Lays a grid over a video; exactly one of the two is given.

    Args:
        pts: (N,) ascending seconds at which rows are shown; the last one for as long as a row usually is.
        step_s: Seconds of a step.
        steps: Number of steps, whatever the video's length.
    """
    start_s = float(pts[0])
    usual = float(np.median(np.diff(pts))) if len(pts) > 1 else 0.0
    end_s = float(pts[-1]) + (usual or step_s or 1.0)
    if step_s is not None:
        count = math.ceil((end_s - start_s) / step_s - SLACK)
        return Grid(start_s, step_s, max(count, 1), end_s)
    assert steps is not None
    return Grid(start_s, (end_s - start_s) / steps, steps, end_s)


def read_steps(read: ReadRows, pts: np.ndarray, grid: Grid, first: int, count: int) -> np.ndarray:
    """Returns (count, D) features of consecutive steps, in the rows' own type; no other rows are read.

    Args:
        read: Reads rows of the video.
        pts: (N,) when they are shown.
        grid: The video's.
        first: First step.
        count: How many.
    """
    edges = grid.start_s + grid.step_s * np.arange(first, first + count + 1)
    edges[-1] = min(edges[-1], grid.end_s)  # the last step of a video may be a part of one
    shown = np.searchsorted(pts, edges[[0, -1]], side="right") - 1
    first_row, last_row = int(shown[0]), int(shown[1])
    if last_row > first_row and pts[last_row] >= edges[-1]:
        last_row = int(np.searchsorted(pts, edges[-1], side="left")) - 1
    rows = read(first_row, last_row + 1 - first_row)  # (n, D)
    cuts = np.unique(np.concatenate([edges, pts[first_row + 1 : last_row + 1]]))
    begins = cuts[:-1]  # pieces in which neither row nor step changes
    row = np.searchsorted(pts, begins, side="right") - 1 - first_row
    weight = np.diff(cuts)
    first_piece = np.searchsorted(begins, edges[:-1])  # of each step
    weighted = rows[row].astype(np.float32) * weight[:, None].astype(np.float32)
    sums = np.add.reduceat(weighted, first_piece)  # (count, D)
    seconds = np.add.reduceat(weight, first_piece)
    return (sums / seconds[:, None].astype(np.float32)).astype(rows.dtype)
