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
from featx.clip.frozen_block import Affine, FrozenBlock, gather_rows
from featx.clip.load import load_clip
from featx.clip.text_plan import (
    NOT_A_PROMPT,
    PackedTexts,
    TextPlan,
    group_plans,
    plan_texts,
    prompt_table_rows,
)
from featx.devices import choose_device
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
    """OpenAI's frozen text encoder over a `TextPlan`; gradients reach the prompts, never the weights."""

    def __init__(
        self, model: CLIP, precision: Precision = "fp32", compile: bool = False, checkpoint: bool = False
    ) -> None:
        """Takes over the text weights of a CLIP, on the device that they are on.

        Args:
            model: OpenAI's module, in float32 (or float64); none of its weights takes a gradient from here on.
            precision: Of the matrix products and of attention; prompts, residual stream, LayerNorm and the
                projection stay in the model's own. `fp32` is the model's own throughout.
            compile: Whether torch.compile makes kernels for the blocks (the middle ones share theirs).
            checkpoint: Whether blocks are computed again in the backward pass, instead of kept in memory.
        """
        model.requires_grad_(False)
        dtype = REDUCED.get(precision, model.token_embedding.weight.dtype)
        blocks = [FrozenBlock(block, dtype) for block in model.transformer.resblocks]
        self._steps = _steps_of(blocks, compile)
        self._words, self._positions = model.token_embedding.weight, model.positional_embedding
        self._final = Affine(model.ln_final.weight, model.ln_final.bias)
        self._projection = model.text_projection
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
        return cls(load_clip(str(model)).model.to(choose_device(device)), precision)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = self._words.device
        return device

    @property
    def width(self) -> int:
        """W, the width of a prompt vector."""
        return int(self._words.shape[1])

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
            alone = [plan_texts([text], prompts, layout, suffix) for text in texts]
            return group_plans(alone, prompt_table_rows(prompts, layout, suffix)).to(self.device)
        return plan_texts(list(texts), prompts, layout, suffix).to(self.device)

    def encode(self, plan: TextPlan, prompt_table: Tensor | None = None) -> Tensor:
        """Encodes texts.

        Args:
            plan: C texts.
            prompt_table: (P, W) prompt vectors, W the width of the text encoder; None for plain text. Of a plan of
                several groups: their tables one after another.

        Returns:
            (C, D) text features in the model's own precision, not normalised.
        """
        packed = plan.packed
        inputs = gather_rows(self._words, packed.token_ids)  # (U, W)
        if prompt_table is not None:
            prompts = gather_rows(prompt_table, packed.prompt_rows)
            inputs = torch.where(packed.is_prompt, prompts.to(inputs.dtype), inputs)
        inputs = inputs + gather_rows(self._positions, packed.positions)
        x = inputs
        for step in self._steps:
            x = recompute(step, x, packed, use_reentrant=False) if self._checkpoint else step(x, packed)
        if self._half and x.requires_grad:
            _keep_gradients_in_range(inputs, x)
        features: Tensor = self._final.normalise(x) @ self._projection  # (C, W) to (C, D)
        return features[: len(plan)]


@torch.no_grad()
def encode_sentences(texts: list[str], model: CLIP) -> tuple[Tensor, tuple[int, ...]]:
    """Encodes sentences as they are.

    Args:
        texts: C sentences.
        model: A CLIP, on the device where to compute.

    Returns:
        (C, D) float32 features of unit length, on the CPU; and the indices of the sentences that were cut.
    """
    plan = plan_texts(texts)
    features = TextTower(model).encode(plan.to(model.text_projection.device))
    return normalize(features.float().cpu(), dim=-1), plan.truncated


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
