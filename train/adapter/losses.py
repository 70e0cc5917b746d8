"""The loss of clips against texts; both are given with unit length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from featx.model.adapter_config import TEMPERATURE


@dataclass(frozen=True)
class Objective:
    """What is made small.

    Attributes:
        kind: As `--loss` says.
        temperature: What cosines are divided by.
        bias: What is added to that; only where each pair is judged alone does it matter.
    """

    kind: Literal["video-to-text", "symmetric", "sigmoid"] = "video-to-text"
    temperature: float = TEMPERATURE
    bias: float = 0.0

    @property
    def needs_all_clips(self) -> bool:
        """Whether the loss looks at all clips of a step at once; else it is a sum over clips."""
        return self.kind == "symmetric"


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


def sigmoid(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns the sum over clips of SigLIP's loss: each clip and text, alone, belong together or not.

    Source: Zhai et al. 2023, "Sigmoid loss for language image pre-training", algorithm 1.

    Args:
        logits: (B, C) with the bias; -inf where a pair does not count.
        targets: (B,) the clip's own text.
    """
    signs = torch.full_like(logits, -1).scatter(1, targets[:, None], 1.0)
    counts = logits.isfinite()
    return -(functional.logsigmoid(signs * logits.masked_fill(~counts, 0)) * counts).sum()


def loss_of(
    video: Tensor,
    text: Tensor,
    targets: Tensor,
    clips: int,
    objective: Objective,
    ignored: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns the loss, and how many clips are nearest to their own text.

    Args:
        video: (B, D) clips; they may be a part of the step's, unless the objective needs all.
        text: (C, D) texts.
        targets: (B,) the clip's own text.
        clips: Of the whole step: the parts' losses add up to the whole's.
        objective: What is made small; `symmetric` is the mean of both directions.
        ignored: (B, C) bool, pairs that are neither aimed at nor held against each other: a text that is right for a
            clip although it is not its target.
    """
    logits = video @ text.T / objective.temperature + objective.bias  # (B, C)
    if ignored is not None:
        logits = logits.masked_fill(ignored, -torch.inf)
    loss = (sigmoid if objective.kind == "sigmoid" else video_to_text)(logits, targets) / clips
    if objective.kind == "symmetric":
        loss = (loss + text_to_video(logits, targets)) / 2
    return loss, (logits.detach().argmax(dim=1) == targets).sum()
