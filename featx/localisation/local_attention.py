"""Blocks over long sequences in which a step sees only those near it; sequences of a batch may be of different lengths.

Everywhere ``mask`` (B, T) says which steps there are. The others are zero, are seen by nobody, and stay zero, so that
padding changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

QUERIES_TOGETHER = (
    32  # at least: they share one set of keys, of which the window's margins are the part too many
)


class Convolution(nn.Module):
    """A convolution over three neighbouring steps, (B, T, C) to (B, T / stride, C'); mask included."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convolve = nn.Conv1d(inputs, outputs, 3, stride, padding=1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, T', C'); ``mask`` (B, T') is that of the result."""
        convolved: Tensor = self.convolve(x.transpose(1, 2)).transpose(1, 2) * mask[..., None]
        return convolved


class LocalBlock(nn.Module):
    """A pre-norm residual block: each step attends to ``half`` steps on either side, or to all of them.

    Neighbours are mixed before queries, keys and values are made; without that attention would not know order.
    """

    def __init__(self, width: int, heads: int, half: int | None) -> None:
        """Makes a block.

        Args:
            width: C.
            heads: Of attention.
            half: Steps on either side that are seen; None for all.
        """
        super().__init__()
        self.seen_either_side = half
        self.heads = heads
        self.ln_1 = nn.LayerNorm(width)
        self.mix = nn.Parameter(torch.tensor([0.0, 1.0, 0.0])[:, None].repeat(1, width))  # before, own, after
        self.inputs = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, mask: Tensor, keep: Tensor | None = None) -> Tensor:
        """Returns (B, T, C).

        Args:
            x: (B, T, C).
            mask: (B, T).
            keep: (2, B) factors of the two branches (stochastic depth); None for 1.
        """
        there = mask[..., None]
        first, second = (1.0, 1.0) if keep is None else keep[:, :, None, None]
        x = x + first * self.output(self._attend(self.ln_1(x) * there, mask)) * there
        x = x + second * self.mlp(self.ln_2(x)) * there
        return x

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        padded = functional.pad(x, (0, 0, 1, 1))  # (B, T + 2, C)
        mixed = padded[:, :-2] * self.mix[0] + x * self.mix[1] + padded[:, 2:] * self.mix[2]
        parts = self.inputs(mixed).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, heads, C / heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each (B, heads, T, C / heads)
        return attend_near(query, key, value, mask, self.seen_either_side).transpose(1, 2).flatten(2)


def attend_near(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, half: int | None) -> Tensor:
    """Returns softmax attention of each step over the existing steps at most ``half`` away.

    Blocks of queries share the keys around them, so that memory grows with T, not with its square, and everything is
    matrix products.

    Args:
        query: (B, heads, T, d).
        key: (B, heads, T, d).
        value: (B, heads, T, d).
        mask: (B, T).
        half: Steps on either side; None for all.

    Returns:
        (B, heads, T, d); of steps that are not there, some finite numbers.
    """
    steps = query.shape[2]
    if half is None or half >= steps - 1:
        itself = torch.eye(steps, dtype=torch.bool, device=mask.device)
        return functional.scaled_dot_product_attention(
            query, key, value, mask[:, None, None, :] | itself
        )  # a step that is not there sees itself: softmax over nothing would be NaN
    block = max(2 * half, QUERIES_TOGETHER)
    blocks = -(-steps // block)
    after = blocks * block - steps
    queries = torch.unflatten(
        functional.pad(query, (0, 0, 0, after)), 2, (blocks, block)
    )  # (B, heads, n, block, d)
    keys, values = (
        functional.pad(part, (0, 0, half, half + after)).unfold(2, block + 2 * half, block).transpose(-1, -2)
        for part in (key, value)
    )  # each (B, heads, n, block + 2 half, d)
    exists = functional.pad(mask, (half, half + after)).unfold(1, block + 2 * half, block)  # (B, n, keys)
    places = torch.arange(block + 2 * half, device=mask.device) - half
    distance = places - torch.arange(block, device=mask.device)[:, None]  # (block, keys)
    seen = (distance.abs() <= half) & exists[:, :, None, :] | (distance == 0)  # (B, n, block, keys)
    found = functional.scaled_dot_product_attention(
        queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), seen[:, :, None]
    )  # (B, n, heads, block, d)
    return found.transpose(1, 2).flatten(2, 3)[:, :, :steps]
