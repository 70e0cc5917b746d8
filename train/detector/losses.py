"""The losses of a detector: focal for the scores, DIoU for the distances."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

FOCAL_ALPHA = 0.25
FOCAL_GAMMA = 2.0


def focal(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns the focal loss of each point (Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 5).

    Args:
        logits: Any shape.
        targets: The same shape, from 0 to 1.
    """
    chance = logits.sigmoid()
    right = chance * targets + (1 - chance) * (1 - targets)
    alpha = FOCAL_ALPHA * targets + (1 - FOCAL_ALPHA) * (1 - targets)
    plain = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return alpha * (1 - right) ** FOCAL_GAMMA * plain


def interval_overlap(distances: Tensor, targets: Tensor) -> Tensor:
    """Returns the IoU (P,) of intervals around common points, given by distances to their ends (P, 2)."""
    shared = torch.minimum(distances, targets).sum(dim=-1)
    either = torch.maximum(distances, targets).sum(dim=-1)
    return shared / either.clamp(min=1e-8)


def distance_iou(distances: Tensor, targets: Tensor) -> Tensor:
    """Returns 1 - IoU + (distance of the middles / length of the hull)^2 (Zheng et al., "Distance-IoU Loss", AAAI 2020).

    Args:
        distances: (P, 2) from each point to the ends of an interval.
        targets: (P, 2) likewise.
    """
    hull = torch.maximum(distances, targets).sum(dim=-1).clamp(min=1e-8)
    middles = ((distances - targets) * distances.new_tensor([-0.5, 0.5])).sum(dim=-1)
    return 1 - interval_overlap(distances, targets) + (middles / hull) ** 2
