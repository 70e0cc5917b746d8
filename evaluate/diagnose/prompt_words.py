"""The words of CLIP's vocabulary that learned prompt vectors lie nearest to, by cosine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from featx.errors import printable
from featx.model.adapter_config import AdapterConfig

WORD_END = "</w>"
SPECIAL = 2  # the last two tokens of the vocabulary mark start and end


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
    config: AdapterConfig, prompt_table: Tensor, token_embedding: Tensor, count: int
) -> list[PromptWords]:
    """Finds the nearest words of each prompt vector.

    Args:
        config: Of the adapter.
        prompt_table: (P, W) prompt vectors.
        token_embedding: (49408, W) the vocabulary of CLIP's tokenizer.
        count: How many words.
    """
    import clip

    tokenizer = clip.clip._tokenizer
    words = token_embedding[:-SPECIAL].float()
    cosines = normalize(prompt_table.float(), dim=-1) @ normalize(words, dim=-1).T  # (P, vocabulary)
    best = cosines.topk(count, dim=-1)
    return [
        PromptWords(
            name,
            float(vector.norm()),
            [
                (_show(tokenizer, int(token)), float(value))
                for token, value in zip(tokens, values, strict=True)
            ],
        )
        for name, vector, tokens, values in zip(
            names_of(config, len(prompt_table)), prompt_table, best.indices, best.values, strict=True
        )
    ]


def usual_length(token_embedding: Tensor) -> float:
    """Returns the median Euclidean length of the vocabulary's words."""
    return float(token_embedding[:-SPECIAL].float().norm(dim=-1).median())


def _show(tokenizer: Any, token: int) -> str:
    word = tokenizer.decoder[token]
    ends = word.endswith(WORD_END)
    # the tokenizer writes every byte of UTF-8 as a character of its own
    letters = bytes(tokenizer.byte_decoder[character] for character in word.removesuffix(WORD_END))
    return printable(letters.decode("utf-8", "replace")) + ("" if ends else "-")
