"""Choosing the best step of a detector by the average recall on videos kept back from training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from featx.localisation.detector import Detector
from featx.localisation.metrics.proposals import average_recall
from featx.localisation.propose import propose_steps

from ..engine.ranks import Ranks
from ..engine.score import Score
from .inputs import GridVideo
from .loader import pad, targets_of_parts
from .sampler import PartDraw
from .settings import ProposalSettings
from .source import StepSource
from .step import ProposalStep

MEASURE = "average_recall"


@dataclass(frozen=True)
class RecallValidator:
    """Scores a detector, each rank its part of the videos kept back.

    Attributes:
        kept: (V,) indices of the videos kept back.
        videos: All videos.
        source: Their features.
        settings: Of the run; recall is that of the proposals that it would keep of a video.
        ranks: Who scores which part.
        step: Knows the loss.
    """

    kept: np.ndarray
    videos: Sequence[GridVideo]
    source: StepSource
    settings: ProposalSettings
    ranks: Ranks
    step: ProposalStep

    @torch.no_grad()
    def score(self, adapter: nn.Module) -> Score:
        """Returns average recall (tIoU .5:.05:.95) with `keep` proposals of a video, and the loss on whole videos."""
        detector = adapter
        assert isinstance(detector, Detector)
        own = self.kept[self.ranks.shard(len(self.kept))]
        rows = [self._score_video(detector, int(index)) for index in own]
        table = torch.tensor(rows, dtype=torch.float64, device=self.ranks.device).reshape(len(own), 3)
        recalls, segments, losses = self.ranks.gather(table, len(self.kept)).cpu().numpy().T
        return Score(float((recalls * segments).sum() / segments.sum()), float(losses.mean()), MEASURE)

    def _score_video(self, detector: Detector, index: int) -> tuple[float, int, float]:
        """Returns a video's average recall, the number of its segments, and its loss."""
        video = self.videos[index]
        found = propose_steps(
            detector,
            lambda first, steps: self.source.steps(index, first, steps),
            video.grid,
            self.settings,
            self.ranks.device,
        )
        seconds = video.grid.seconds_of(video.segments)
        recall = average_recall(
            [(found.start_s, found.end_s)], [(seconds[:, 0], seconds[:, 1])], self.settings.keep
        )
        return recall, len(video.segments), self._loss(detector, index)

    def _loss(self, detector: Detector, index: int) -> float:
        steps = min(self.videos[index].grid.steps, self.settings.longest)
        whole = PartDraw(np.array([index]), np.array([0]), np.array([steps]), np.ones((0, 1), np.float32))
        config = detector.config
        targets = targets_of_parts(config, self.videos, whole, self.settings.centre_radius)
        learning = max(int(targets[0].score.sum()), 1)
        batch = pad(self.source, whole, targets, learning, config, self.ranks.device)
        return self.step.loss(detector, batch)[0].item()
