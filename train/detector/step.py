"""One step's gradient of a detector."""

from __future__ import annotations

import torch
from torch import Tensor

from featx.localisation.detector import Detector

from ..engine.ranks import Ranks
from ..engine.stopwatch import Stopwatch
from .loader import ProposalBatch
from .losses import distance_iou, focal, interval_overlap


class ProposalStep:
    """Computes gradients; it has no state of its own."""

    def __init__(
        self, detector: Detector, ranks: Ranks, label_smoothing: float, loss_weight: float, watch: Stopwatch
    ) -> None:
        self._detector = detector
        self._ranks = ranks
        self._smoothing = label_smoothing
        self._weight = loss_weight
        self._watch = watch

    def gradients(self, batch: ProposalBatch) -> tuple[Tensor, Tensor]:
        """Leaves in the parameters this rank's part of the gradient of the whole step's loss.

        Returns:
            The loss of the step, and the mean IoU of the intervals at the points that learn a segment.
        """
        with self._watch.phase("temporal"):
            loss, overlap = self.loss(self._detector, batch, batch.keep)
            loss.backward()
        both = torch.stack([loss.detach(), overlap])[None]
        summed = self._ranks.gather(both, self._ranks.count).sum(dim=0)
        return summed[0], summed[1]

    def loss(
        self, detector: Detector, batch: ProposalBatch, keep: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns a batch's part of the loss, and of the mean IoU, of a whole step; the parts add up.

        Args:
            detector: The one that learns, or its running mean.
            batch: Of this rank.
            keep: Factors of stochastic depth.
        """
        levels = detector(batch.features, batch.mask, keep)
        logits = torch.cat([level.logits for level in levels], dim=1)  # (B, P)
        distances = torch.cat([level.distances for level in levels], dim=1)  # (B, P, 2)
        aim = batch.score * (1 - self._smoothing) + self._smoothing / 2
        scores = (focal(logits, aim) * batch.counts).sum()
        learns = batch.score > 0
        own, targets = distances[learns], batch.distances[learns]
        ends = distance_iou(own, targets).sum()
        overlap = interval_overlap(own.detach(), targets).sum()
        return (scores + self._weight * ends) / batch.learning, overlap / batch.learning

    def clip(self, norm: float) -> None:
        """Makes the gradient no longer than ``norm``."""
        torch.nn.utils.clip_grad_norm_(self._detector.parameters(), norm)
