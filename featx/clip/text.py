"""The frozen text encoder, with learned prompt vectors among the words.

A text of n tokens becomes ``SOT, k prompts, n tokens, k prompts, EOT`` (method: Ju et al. 2022, section 3).
A `TextPlan` says once where everything goes, so that a training step only gathers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from clip.model import CLIP

Layout = Literal["sequence", "positional"]
CONTEXT_LENGTH = 77
NOT_A_PROMPT = -1


@dataclass(frozen=True)
class TextPlan:
    """Where each token and each prompt vector of C texts goes, trimmed to the longest text (L positions).

    Attributes:
        token_ids: (C, L) int64; 0 where a prompt vector stands and after EOT.
        prompt_rows: (C, L) int64, row of the prompt table, or `NOT_A_PROMPT`.
        eot: (C,) int64, position of EOT.
        truncated: Indices of the texts that were cut because they were too long.
    """

    token_ids: Tensor
    prompt_rows: Tensor
    eot: Tensor
    truncated: tuple[int, ...]

    def to(self, device: torch.device | str) -> TextPlan:
        """Returns the plan on another device."""
        return TextPlan(
            self.token_ids.to(device), self.prompt_rows.to(device), self.eot.to(device), self.truncated
        )

    def choose(self, classes: np.ndarray) -> TextPlan:
        """Returns the plan of some of the texts, by index."""
        if len(classes) == len(self.eot):
            return self
        rows = torch.from_numpy(classes).to(self.eot.device)
        return TextPlan(self.token_ids[rows], self.prompt_rows[rows], self.eot[rows], ())


def prompt_table_rows(prompts: int, layout: Layout, suffix: bool = True) -> int:
    """Returns how many vectors are learned: k + k (k without suffix), or one for each of the 77 positions."""
    return (2 if suffix else 1) * prompts if layout == "sequence" else CONTEXT_LENGTH


def plan_texts(
    texts: list[str], prompts: int = 0, layout: Layout = "sequence", suffix: bool = True
) -> TextPlan:
    """Tokenises texts and lays out the prompts around them.

    Args:
        texts: C class names or sentences.
        prompts: k, the number of prompt vectors before and again after the text.
        layout: `sequence`: the i-th prompt is the same vector whatever the text's length (the paper);
            `positional`: a vector belongs to an absolute position (the authors' released code).
        suffix: Whether prompts stand after the text too: `k+X+k`, or else `k+X+0`, which is cheaper.

    Returns:
        The plan. Texts that do not fit into 77 positions are cut before EOT and listed in ``truncated``.
    """
    import clip

    tokenizer = clip.clip._tokenizer
    sot, eot = tokenizer.encoder["<|startoftext|>"], tokenizer.encoder["<|endoftext|>"]
    after_text = prompts if suffix else 0
    room = CONTEXT_LENGTH - 2 - prompts - after_text
    encoded = [tokenizer.encode(text) for text in texts]
    truncated = tuple(index for index, tokens in enumerate(encoded) if len(tokens) > room)
    encoded = [tokens[:room] for tokens in encoded]
    length = 2 + prompts + after_text + max(len(tokens) for tokens in encoded)
    token_ids = torch.zeros(len(texts), length, dtype=torch.long)
    prompt_rows = torch.full((len(texts), length), NOT_A_PROMPT)
    for row, tokens in enumerate(encoded):
        after = 1 + prompts + len(tokens)  # the first position of the second half of the prompts
        ids = [sot, *[0] * prompts, *tokens, *[0] * after_text, eot]
        token_ids[row, : len(ids)] = torch.tensor(ids)
        positions = torch.tensor(
            [*range(1, 1 + prompts), *range(after, after + after_text)], dtype=torch.long
        )
        prompt_rows[row, positions] = positions if layout == "positional" else torch.arange(len(positions))
    lengths = torch.tensor([len(tokens) for tokens in encoded])
    return TextPlan(token_ids, prompt_rows, 1 + prompts + after_text + lengths, truncated)


class TextTower:
    """OpenAI's frozen text encoder over a `TextPlan`; gradients reach the prompts, never the weights."""

    def __init__(self, model: CLIP) -> None:
        self._model = model.requires_grad_(False)

    def encode(self, plan: TextPlan, prompt_table: Tensor | None = None) -> Tensor:
        """Encodes texts.

        Args:
            plan: C texts.
            prompt_table: (P, W) prompt vectors, W the width of the text encoder; None for plain text.

        Returns:
            (C, D) text features, not normalised.
        """
        model = self._model
        x = model.token_embedding(plan.token_ids)  # (C, L, W)
        if prompt_table is not None:
            is_prompt = plan.prompt_rows != NOT_A_PROMPT  # (C, L)
            x = torch.where(is_prompt[..., None], prompt_table[plan.prompt_rows.clamp(min=0)].to(x.dtype), x)
        x = x + model.positional_embedding[: x.shape[1]]
        for block in model.transformer.resblocks:
            x = x + _causal_attention(block.attn, block.ln_1(x))
            x = x + block.mlp(block.ln_2(x))
        x = x[torch.arange(len(x), device=x.device), plan.eot]  # (C, W)
        return model.ln_final(x) @ model.text_projection


def _causal_attention(attention: torch.nn.MultiheadAttention, x: Tensor) -> Tensor:
    """`attention` of (C, L, W) with a causal mask of L positions, whatever mask the module was made with."""
    texts, length, width = x.shape
    heads = attention.num_heads
    qkv = functional.linear(x, attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = qkv.view(texts, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    x = functional.scaled_dot_product_attention(query, key, value, is_causal=True)  # (C, heads, L, W / heads)
    return attention.out_proj(x.transpose(1, 2).reshape(texts, length, width))
