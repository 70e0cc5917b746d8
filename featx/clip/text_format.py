"""What a text encoder is given, and where its feature is taken: all that is known of it beside its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

# causal: a position sees those before it; padding: all of its own text; none: everything, padding too
Mask = Literal["causal", "padding", "none"]
FeatureAt = Literal[
    "end", "first", "last"
]  # the last mark (EOT), the first mark (CLS), the last position of all
SAVINGS = ("trim", "shared prefix", "packed rows", "last layer at the feature", "distinct inputs")


@dataclass(frozen=True)
class TextFormat:
    """How a text becomes positions.

    Attributes:
        tokenize: Returns the tokens of a text, without marks.
        word: Returns how a token reads, for people; a token that goes on ends in `-`.
        start: Tokens before each text.
        end: Tokens after it.
        padding: The token behind a text that is shorter than all positions.
        positions: How many there are.
        mask: What a position sees.
        feature_at: Where the feature is taken.
        not_words: Tokens that stand in no text, such as marks.
    """

    tokenize: Callable[[str], list[int]]
    word: Callable[[int], str]
    start: tuple[int, ...]
    end: tuple[int, ...]
    padding: int
    positions: int
    mask: Mask
    feature_at: FeatureAt
    not_words: tuple[int, ...] = ()

    def room(self, prompts: int, suffix: bool = True) -> int:
        """Returns how many tokens of a text fit between its prompts; negative if not even those do.

        Args:
            prompts: k.
            suffix: Whether k stand after the text too.
        """
        marks = len(self.start) + len(self.end)
        return self.positions - marks - prompts * (2 if suffix else 1)

    def most_prompts(self, suffix: bool = True) -> int:
        """Returns the largest k that leaves room for a token."""
        return (self.room(0) - 1) // (2 if suffix else 1)

    @property
    def savings(self) -> tuple[str, ...]:
        """Those of `SAVINGS` that change no feature (docs/encoders.md says why).

        What a text shares with others can be computed once only if it does not see what follows; padding can be left
        out only where nothing sees it.
        """
        off = {"causal": (), "padding": ("shared prefix",), "none": ("trim", "shared prefix", "packed rows")}
        return tuple(saving for saving in SAVINGS if saving not in off[self.mask])
