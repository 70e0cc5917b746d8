"""Finding the proposals of a video with a detector, however long the video is.

A long one goes through in windows. A window's outer `Detector.margin` steps are looked at but not believed: what is kept
of it depends on nothing outside, so that it equals what a single pass over the whole video would say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from featx.localisation.detector import Detector, Level
from featx.localisation.grid import Grid, ReadRows, make_grid, read_steps
from featx.localisation.proposals_file import Proposals
from featx.localisation.selection import SelectionSettings, select

STEPS_AT_ONCE = 2304  # that are believed of a window; THUMOS14's longest training sequence


@dataclass(frozen=True)
class Window:
    """Part of a grid: ``steps`` from ``first`` on are read, those from ``begin`` to ``end`` are believed."""

    first: int
    steps: int
    begin: int
    end: int


def windows(steps: int, believed: int, margin: int) -> Iterator[Window]:
    """Divides a grid into windows of ``believed`` steps, each read with a margin on both sides where there is more."""
    for begin in range(0, steps, believed):
        end = min(begin + believed, steps)
        first, past = max(begin - margin, 0), min(end + margin, steps)
        yield Window(first, past - first, begin, end)


def propose_video(
    detector: Detector,
    features: np.ndarray,
    pts: np.ndarray,
    settings: SelectionSettings,
    device: str = "cpu",
) -> Proposals:
    """Returns the proposals of a video whose features are in memory.

    Args:
        detector: On ``device``.
        features: (N, D).
        pts: (N,) when its rows are shown, in seconds.
        settings: Which proposals are kept.
        device: Where the detector is.
    """
    return propose_rows(detector, lambda first, rows: features[first : first + rows], pts, settings, device)


def propose_rows(
    detector: Detector,
    read: ReadRows,
    pts: np.ndarray,
    settings: SelectionSettings,
    device: str = "cpu",
    steps_at_once: int = STEPS_AT_ONCE,
) -> Proposals:
    """Returns the proposals of a video whose rows are read as they are needed.

    Args:
        detector: On ``device``.
        read: Reads rows of the video.
        pts: (N,) when they are shown, in seconds.
        settings: Which proposals are kept.
        device: Where the detector is.
        steps_at_once: Steps of a window; more takes more memory and changes nothing but rounding.
    """
    grid = make_grid(pts, detector.config.grid_step_s, detector.config.grid_steps)
    return propose_steps(
        detector,
        lambda first, steps: read_steps(read, pts, grid, first, steps),
        grid,
        settings,
        device,
        steps_at_once,
    )


def propose_steps(
    detector: Detector,
    read: ReadRows,
    grid: Grid,
    settings: SelectionSettings,
    device: str = "cpu",
    steps_at_once: int = STEPS_AT_ONCE,
) -> Proposals:
    """Returns the proposals of a video whose steps are read as they are needed; see `propose_rows`."""
    found = Proposals(np.empty(0), np.empty(0), np.empty(0))
    for window in _windows_of(detector, grid, steps_at_once):
        more = _look(detector, read(window.first, window.steps), window, grid, settings, device)
        found = _best(_join(found, more), settings)
    return select(found, settings)


def _windows_of(detector: Detector, grid: Grid, steps_at_once: int) -> Iterator[Window]:
    config = detector.config
    if config.grid_steps is not None:  # always few
        return windows(grid.steps, grid.steps, 0)
    stride = config.strides[-1]  # windows begin at a point of every level
    return windows(grid.steps, -(-steps_at_once // stride) * stride, detector.margin)


@torch.no_grad()
def _look(
    detector: Detector,
    steps: np.ndarray,
    window: Window,
    grid: Grid,
    settings: SelectionSettings,
    device: str,
) -> Proposals:
    """Returns the proposals at the points that are believed of a window (T, D)."""
    features = torch.from_numpy(steps).to(device)[None]
    mask = torch.ones(features.shape[:2], dtype=torch.bool, device=device)
    parts = [_of_level(level, window, settings.min_score) for level in detector(features, mask)]
    points, scores = (torch.cat(part).cpu().numpy().astype(np.float64) for part in zip(*parts, strict=True))
    times = np.clip(grid.seconds_of(points), max(grid.start_s, 0.0), grid.end_s)  # (P, 2)
    found = Proposals(times[:, 0], times[:, 1], scores)
    return _best(found.choose(times[:, 1] > times[:, 0]), settings)


def _of_level(level: Level, window: Window, min_score: float) -> tuple[Tensor, Tensor]:
    """Returns begins and ends (P, 2), in points of the grid, and scores (P,), of the believed points that matter."""
    first = -(-(window.begin - window.first) // level.stride)
    past = -(-(window.end - window.first) // level.stride)
    scores = level.logits[0, first:past].sigmoid()
    chosen = (scores >= min_score).nonzero()[:, 0]
    distances = level.distances[0, first:past][chosen].double() * level.stride
    points = window.first + (first + chosen).double() * level.stride
    return torch.stack([points - distances[:, 0], points + distances[:, 1]], dim=1), scores[chosen]


def _best(found: Proposals, settings: SelectionSettings) -> Proposals:
    if len(found) <= settings.before_suppression:
        return found
    return found.choose(np.argsort(-found.score, kind="stable")[: settings.before_suppression])


def _join(one: Proposals, other: Proposals) -> Proposals:
    return Proposals(
        np.concatenate([one.start_s, other.start_s]),
        np.concatenate([one.end_s, other.end_s]),
        np.concatenate([one.score, other.score]),
    )
