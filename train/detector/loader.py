"""The parts of videos of each step with what their points should say, padded to one length."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from featx.localisation.detector_config import DetectorConfig

from ..adapter.loader import read_ahead
from ..engine.ranks import Ranks
from .inputs import GridVideo
from .sampler import SHORTEST_CUT, PartDraw, PartSampler, cut
from .source import StepSource
from .targets import Targets, targets_of


@dataclass(frozen=True)
class ProposalBatch:
    """One step as this rank sees it; P points of all levels, one level after another.

    Attributes:
        features: (B, T, D).
        mask: (B, T) which steps there are.
        keep: (branches, B) factors of stochastic depth.
        score: (B, P), 1 where a point learns a segment.
        distances: (B, P, 2) to its ends, in strides.
        counts: (B, P) bool, whether the score is learned there.
        learning: Points of the whole step, of all ranks, that learn a segment; at least 1.
    """

    features: Tensor
    mask: Tensor
    keep: Tensor
    score: Tensor
    distances: Tensor
    counts: Tensor
    learning: int


class ProposalLoader:
    """Turns draws into batches on the device."""

    def __init__(
        self,
        sampler: PartSampler,
        source: StepSource,
        config: DetectorConfig,
        centre_radius: float,
        ranks: Ranks,
        workers: int,
    ) -> None:
        self.source = source
        self._sampler = sampler
        self._config = config
        self._centre_radius = centre_radius
        self._own = ranks.shard(sampler.batch)
        self._device = ranks.device
        self._workers = workers

    def batches(self, first: int, last: int) -> Generator[ProposalBatch, None, None]:
        """Yields the steps ``first`` to ``last``, both included."""
        workers = self._workers if self.source.reads else 0
        yield from read_ahead(self._read, first, last, workers, self._device)

    def _read(self, step: int) -> ProposalBatch:
        draw, own = self._sampler.draw(step), self._own
        videos = self._sampler.videos
        all_targets = targets_of_parts(self._config, videos, draw, self._centre_radius)
        learning = max(int(sum(targets.score.sum() for targets in all_targets)), 1)
        mine = PartDraw(draw.videos[own], draw.first[own], draw.steps[own], draw.keep[:, own])
        return pad(self.source, mine, all_targets[own], learning, self._config, self._device)


def targets_of_parts(
    config: DetectorConfig, videos: Sequence[GridVideo], draw: PartDraw, centre_radius: float
) -> list[Targets]:
    """Returns what the points of each part of a draw should say."""
    found = []
    for index, first, steps in zip(draw.videos, draw.first, draw.steps, strict=True):
        video = videos[index]
        segments = cut(video.segments, first, steps, SHORTEST_CUT)
        ambiguous = cut(video.ambiguous, first, steps, 0.0)
        found.append(targets_of(config, int(steps), segments, ambiguous, centre_radius))
    return found


def pad(
    source: StepSource,
    draw: PartDraw,
    targets: Sequence[Targets],
    learning: int,
    config: DetectorConfig,
    device: str,
) -> ProposalBatch:
    """Reads the parts of a draw, and puts them and their targets side by side."""
    parts = [
        source.steps(int(video), int(first), int(steps))
        for video, first, steps in zip(draw.videos, draw.first, draw.steps, strict=True)
    ]
    longest = max(len(part) for part in parts)
    batch = len(parts)
    features = np.zeros((batch, longest, parts[0].shape[1]), parts[0].dtype)
    mask = np.zeros((batch, longest), bool)
    points = [-(-longest // stride) for stride in config.strides]
    score = np.zeros((batch, sum(points)), np.float32)
    distances = np.zeros((batch, sum(points), 2), np.float32)
    counts = np.zeros((batch, sum(points)), bool)
    for row, (part, target) in enumerate(zip(parts, targets, strict=True)):
        features[row, : len(part)], mask[row, : len(part)] = part, True
        to, start = 0, 0
        for stride, number in zip(config.strides, points, strict=True):
            own = -(-len(part) // stride)
            score[row, to : to + own] = target.score[start : start + own]
            distances[row, to : to + own] = target.distances[start : start + own]
            counts[row, to : to + own] = target.counts[start : start + own]
            to, start = to + number, start + own

    def there(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    return ProposalBatch(
        there(features),
        there(mask),
        there(draw.keep),
        there(score),
        there(distances),
        there(counts),
        learning,
    )
