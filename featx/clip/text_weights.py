"""The weights of a text Transformer, whatever library they come from."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor
from torch.nn import functional

from featx.clip.text_format import TextFormat

Activation = Literal["quickgelu", "gelu", "gelu-tanh", "relu"]


class _Weights:
    """Moves all tensors of a dataclass."""

    def to(self, device: torch.device | str) -> Self:
        """Returns the same on another device."""
        there = {field.name: _moved(getattr(self, field.name), device) for field in fields(self)}  # type: ignore[arg-type]
        return replace(self, **there)  # type: ignore[type-var]


def _moved(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, Tensor | _Weights):
        return value.to(device)
    return tuple(_moved(one, device) for one in value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Affine(_Weights):
    """Weight and bias of a frozen matrix product."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Returns x weight^T + bias; autograd keeps nothing but the weight, for the weight takes no gradient."""
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True)
class Norm(_Weights):
    """A frozen LayerNorm."""

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """Returns the LayerNorm of (N, W) in x's precision."""
        return functional.layer_norm(x, self.bias.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class BlockWeights(_Weights):
    """A residual block.

    Attributes:
        norm_1: Of attention: before it, or after it and the sum.
        qkv: (3 W, W), queries before keys before values.
        out: (W, W), of what was attended to.
        norm_2: Of the MLP.
        up: (M, W).
        down: (W, M).
    """

    norm_1: Norm
    qkv: Affine
    out: Affine
    norm_2: Norm
    up: Affine
    down: Affine


@dataclass(frozen=True)
class TextWeights(_Weights):
    """A text Transformer; no tensor takes a gradient.

    Attributes:
        words: (vocabulary, W) embeddings of tokens.
        positions: (L, W), added to them.
        blocks: In order.
        projection: (W, D).
        heads: Of attention.
        activation: Of the MLP.
        norm_first: Whether a block normalises before attention and MLP (CLIP), or after each sum (BERT).
        input_norm: Of the sum of words and positions, if there is one.
        final_norm: Before the projection, if there is one.
        projection_bias: (D,), if there is one.
    """

    words: Tensor
    positions: Tensor
    blocks: tuple[BlockWeights, ...]
    projection: Tensor
    heads: int
    activation: Activation
    norm_first: bool = True
    input_norm: Norm | None = None
    final_norm: Norm | None = None
    projection_bias: Tensor | None = None

    @property
    def width(self) -> int:
        """W, the width of a prompt vector."""
        return int(self.words.shape[1])

    @property
    def feature_width(self) -> int:
        """D."""
        return int(self.projection.shape[1])


@dataclass(frozen=True)
class TextEncoder:
    """A frozen text encoder.

    Attributes:
        format: How texts become positions.
        weights: What is computed.
    """

    format: TextFormat
    weights: TextWeights

    def to(self, device: torch.device | str) -> TextEncoder:
        """Returns the same on another device."""
        return TextEncoder(self.format, self.weights.to(device))
