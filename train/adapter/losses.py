"""The loss of clips against texts; both are given with unit length."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from featx.model.adapter import TEMPERATURE


def video_to_text(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns the sum over clips of the cross-entropy of their own text among all texts (method, section "Loss").

    Args:
        logits: (B, C).
        targets: (B,) the clip's own text.
    """
    return functional.cross_entropy(logits, targets, reduction="sum")


def text_to_video(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns the mean over the texts that have a clip of the cross-entropy of their clips among all clips.

    A text with several clips in the batch aims at all of them alike; where each has one, this is CLIP's second half.

    Args:
        logits: (B, C).
        targets: (B,) the clip's own text.
    """
    own = logits.log_softmax(dim=0).gather(1, targets[:, None])[:, 0]  # (B,)
    clips_of_text = torch.bincount(targets, minlength=logits.shape[1])
    weights = 1 / clips_of_text[targets]  # (B,): they sum to the number of texts that have a clip
    return -(weights * own).sum() / (clips_of_text > 0).sum()


def loss_of(
    video: Tensor,
    text: Tensor,
    targets: Tensor,
    clips: int,
    symmetric: bool,
    ignored: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns the loss, and how many clips are nearest to their own text.

    Args:
        video: (B, D) clips; without ``symmetric`` they may be a part of the step's.
        text: (C, D) texts.
        targets: (B,) the clip's own text.
        clips: Of the whole step: the parts' losses add up to the whole's.
        symmetric: The mean of both directions; needs all clips of the step at once.
        ignored: (B, C) bool, pairs that are neither aimed at nor held against each other: a text that is right for a
            clip although it is not its target.
    """
    logits = video @ text.T / TEMPERATURE  # (B, C)
    if ignored is not None:
        logits = logits.masked_fill(ignored, -torch.inf)
    loss = video_to_text(logits, targets) / clips
    if symmetric:
        loss = (loss + text_to_video(logits, targets)) / 2
    return loss, (logits.detach().argmax(dim=1) == targets).sum()
