"""How good what was learned is, and who says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import nn


@dataclass(frozen=True)
class Score:
    """How good what was learned is; of equal ones the lower loss is better.

    Attributes:
        value: Larger is better.
        loss: On the same videos.
        name: Of the value: top1, the share of videos whose class comes first, or what a task has instead.
    """

    value: float
    loss: float
    name: str = "top1"

    def better_than(self, other: Score | None) -> bool:
        """Tells whether this is the best so far."""
        return other is None or (self.value, -self.loss) > (other.value, -other.loss)


class Scorer(Protocol):
    """Scores an adapter on the videos kept back."""

    def score(self, adapter: nn.Module) -> Score:
        """Returns the score of an adapter (the one that learns, or its running mean)."""
        ...
