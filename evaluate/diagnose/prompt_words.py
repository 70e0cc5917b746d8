"""The words of the text encoder's vocabulary that learned prompt vectors lie nearest to, by cosine."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from featx.clip.text_weights import TextEncoder
from featx.errors import printable
from featx.model.adapter_config import AdapterConfig


@dataclass(frozen=True)
class PromptWords:
    """One prompt vector.

    Attributes:
        name: Where it stands: `before 1` is the first one before the class name.
        length: Its Euclidean length; a word's is about `usual_length`.
        words: The nearest ones, and their cosines, nearest first. A word that goes on ends in `-`.
    """

    name: str
    length: float
    words: list[tuple[str, float]]


def names_of(config: AdapterConfig, rows: int) -> list[str]:
    """Returns what to call each row of the prompt table."""
    if config.layout == "positional":
        return [f"position {row}" for row in range(rows)]
    return [
        f"before {row + 1}" if row < config.prompts else f"after {row + 1 - config.prompts}"
        for row in range(rows)
    ]


@torch.no_grad()
def nearest_words(
    config: AdapterConfig, prompt_table: Tensor, encoder: TextEncoder, count: int
) -> list[PromptWords]:
    """Finds the nearest words of each prompt vector.

    Args:
        config: Of the adapter.
        prompt_table: (P, W) prompt vectors.
        encoder: The text encoder, whose vocabulary is searched.
        count: How many words.
    """
    tokens = _words(encoder)
    words = encoder.weights.words[tokens].float()
    cosines = normalize(prompt_table.float(), dim=-1) @ normalize(words, dim=-1).T  # (P, vocabulary)
    best = cosines.topk(count, dim=-1)
    return [
        PromptWords(
            name,
            float(vector.norm()),
            [
                (printable(encoder.format.word(int(tokens[index]))), float(value))
                for index, value in zip(nearest, values, strict=True)
            ],
        )
        for name, vector, nearest, values in zip(
            names_of(config, len(prompt_table)), prompt_table, best.indices, best.values, strict=True
        )
    ]


def usual_length(encoder: TextEncoder) -> float:
    """Returns the median Euclidean length of the vocabulary's words."""
    return float(encoder.weights.words[_words(encoder)].float().norm(dim=-1).median())


def _words(encoder: TextEncoder) -> Tensor:
    """Returns the tokens that are words, (vocabulary,) int64."""
    is_word = torch.ones(len(encoder.weights.words), dtype=torch.bool)
    is_word[list(encoder.format.not_words)] = False
    return is_word.nonzero()[:, 0]
