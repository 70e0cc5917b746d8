"""The frozen text encoder, with learned prompt vectors among the words.

It computes what a plain pass over 77 padded positions computes, exactly, from a quarter of the work
(docs/training.md). `featx.clip.text_plan` says where everything goes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.checkpoint import checkpoint as recompute

from featx.clip.choices import Layout, Precision
from featx.clip.frozen_block import FrozenBlock, gather_rows
from featx.clip.text_plan import (
    NOT_A_PROMPT,
    PackedTexts,
    TextPlan,
    group_plans,
    plan_texts,
    prompt_table_rows,
)
from featx.clip.text_weights import TextEncoder
from featx.devices import choose_device
from featx.encoders.load import load_model
from featx.encoders.openai_text import openai_text
from featx.output.library_function import library_function

if TYPE_CHECKING:
    from clip.model import CLIP

__all__ = [
    "NOT_A_PROMPT",
    "TextPlan",
    "TextTower",
    "encode_sentences",
    "group_plans",
    "plan_texts",
    "prompt_table_rows",
]

Step = Callable[[Tensor, PackedTexts], Tensor]
REDUCED = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TextTower:
    """A frozen text encoder over a `TextPlan`; gradients reach the prompts, never the weights."""

    def __init__(
        self,
        encoder: TextEncoder | CLIP,
        precision: Precision = "fp32",
        compile: bool = False,
        checkpoint: bool = False,
    ) -> None:
        """Takes over the weights, on the device that they are on.

        Args:
            encoder: A text encoder, or a module of OpenAI's; in float32 (or float64).
            precision: Of the matrix products and of attention; prompts, residual stream, LayerNorm and the
                projection stay in the encoder's own. `fp32` is the encoder's own throughout.
            compile: Whether torch.compile makes kernels for the blocks (the middle ones share theirs).
            checkpoint: Whether blocks are computed again in the backward pass, instead of kept in memory.
        """
        if not isinstance(encoder, TextEncoder):
            encoder = openai_text(encoder)
        self.format = encoder.format
        self._weights = weights = encoder.weights
        dtype = REDUCED.get(precision, weights.words.dtype)
        blocks = [
            FrozenBlock(block, weights.heads, weights.activation, weights.norm_first, dtype)
            for block in weights.blocks
        ]
        self._steps = _steps_of(blocks, compile)
        self._half = dtype == torch.float16
        self._checkpoint = checkpoint

    @classmethod
    @library_function()
    def load(
        cls, model: str | os.PathLike[str] = "ViT-B/16", device: str = "auto", precision: Precision = "fp32"
    ) -> TextTower:
        """Loads the text encoder of a CLIP.

        Args:
            model: One of OpenAI's names, the path of a checkpoint, or ``tiny``.
            device: Device to compute on: cpu, cuda or cuda:1. auto takes a GPU if there is one.
            precision: Number type of the matrix products and of attention: ``fp32``, ``bf16`` or ``fp16``.

        Raises:
            FeatxError: If the CLIP cannot be loaded, or the device is not there.
        """
        return cls(load_model(str(model)).text.to(choose_device(device)), precision)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._weights.words.device

    @property
    def width(self) -> int:
        """W, the width of a prompt vector."""
        return self._weights.width

    def plan(
        self,
        texts: Sequence[str],
        prompts: int = 0,
        layout: Layout = "sequence",
        suffix: bool = True,
        per_text: bool = False,
    ) -> TextPlan:
        """Lays out texts and the prompts around them, once for many calls of `encode`; see `plan_texts`.

        Args:
            texts: C class names or sentences.
            prompts: k, the number of prompt vectors before and again after each text.
            layout: ``sequence``: the i-th prompt is the same vector whatever the text's length. ``positional``: a vector
                belongs to an absolute position.
            suffix: Whether prompts stand after the text too.
            per_text: Whether each text has prompts of its own, whose tables lie one after another; else all share one.

        Returns:
            The plan; its ``prompt_count`` is the number of rows of the prompt table.
        """
        if per_text:
            alone = [plan_texts(self.format, [text], prompts, layout, suffix) for text in texts]
            rows = prompt_table_rows(prompts, layout, suffix, self.format.positions)
            return group_plans(alone, rows).to(self.device)
        return plan_texts(self.format, list(texts), prompts, layout, suffix).to(self.device)

    def encode(self, plan: TextPlan, prompt_table: Tensor | None = None) -> Tensor:
        """Encodes texts.

        Args:
            plan: C texts.
            prompt_table: (P, W) prompt vectors, W the width of the text encoder; None for plain text. Of a plan of
                several groups: their tables one after another.

        Returns:
            (C, D) text features in the model's own precision, not normalised.
        """
        packed, weights = plan.packed, self._weights
        inputs = gather_rows(weights.words, packed.token_ids)  # (U, W)
        if prompt_table is not None:
            prompts = gather_rows(prompt_table, packed.prompt_rows)
            inputs = torch.where(packed.is_prompt, prompts.to(inputs.dtype), inputs)
        inputs = inputs + gather_rows(weights.positions, packed.positions)
        x = inputs if weights.input_norm is None else weights.input_norm(inputs)
        for step in self._steps:
            x = recompute(step, x, packed, use_reentrant=False) if self._checkpoint else step(x, packed)
        if self._half and x.requires_grad:
            _keep_gradients_in_range(inputs, x)
        if weights.final_norm is not None:
            x = weights.final_norm(x)
        features = x @ weights.projection  # (C, W) to (C, D)
        if weights.projection_bias is not None:
            features = features + weights.projection_bias
        return features[: len(plan)]


@torch.no_grad()
def encode_sentences(texts: list[str], encoder: TextEncoder) -> tuple[Tensor, tuple[int, ...]]:
    """Encodes sentences as they are.

    Args:
        texts: C sentences.
        encoder: On the device where to compute.

    Returns:
        (C, D) float32 features of unit length, on the CPU; and the indices of the sentences that were cut.
    """
    tower = TextTower(encoder)
    plan = tower.plan(texts)
    return normalize(tower.encode(plan).float().cpu(), dim=-1), plan.truncated


def _steps_of(blocks: list[FrozenBlock], compile: bool) -> list[Step]:
    """Returns what is done with the (U, W) distinct inputs, block by block, until (C, W) is left."""
    ways = (FrozenBlock.first, FrozenBlock.__call__, FrozenBlock.last)
    first, middle, last = map(torch.compile, ways) if compile else ways
    return [
        partial(way, block)
        for way, block in zip([first, *[middle] * (len(blocks) - 2), last], blocks, strict=True)
    ]


def _keep_gradients_in_range(inputs: Tensor, outputs: Tensor) -> None:
    """Makes the largest gradient at ``outputs`` 1 on its way to ``inputs``, where it gets its size back.

    float16 would lose small gradients; the backward pass is linear, so its scale is free.
    """
    sizes: list[Tensor] = []

    def enlarge(gradient: Tensor) -> Tensor:
        sizes.append(gradient.abs().amax().clamp(min=torch.finfo(gradient.dtype).tiny))
        return gradient / sizes[-1]

    outputs.register_hook(enlarge)
    inputs.register_hook(lambda gradient: gradient * sizes.pop())
