"""The temporal Transformer: a clip's T frame features to one video feature."""

from __future__ import annotations

import torch
from torch import Tensor, nn

POSITION_STD = 0.01  # method: prompts and temporal positions start as normal noise of this size


class QuickGELU(nn.Module):
    """CLIP's approximation of GELU (clip/model.py)."""

    def forward(self, x: Tensor) -> Tensor:
        """Returns x * sigmoid(1.702 x)."""
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """A pre-norm residual block as in CLIP, over (B, T, D), every frame seeing every other one."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), QuickGELU(), nn.Linear(4 * width, width))
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Returns (B, T, D)."""
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        more: Tensor = self.mlp(self.ln_2(x))
        return x + more

    def mean(self, x: Tensor) -> Tensor:
        """Returns (B, D), the mean of `forward` over the frames.

        The MLP's second product is linear, so the mean is taken before it: a third of a block's work is saved.
        """
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        into, activation, out_of = self.mlp
        more: Tensor = out_of(activation(into(self.ln_2(x))).mean(dim=1))
        return x.mean(dim=1) + more


class TemporalTransformer(nn.Module):
    """Learned temporal positions, or none, and ``layers`` blocks; the mean over time is the video feature.

    With 0 layers and no positions it is the plain mean, and learns nothing.
    """

    def __init__(self, width: int, layers: int, heads: int, clip_frames: int, positions: bool = True) -> None:
        super().__init__()
        self.positions = nn.Parameter(POSITION_STD * torch.randn(clip_frames, width)) if positions else None
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])

    def forward(self, clips: Tensor) -> Tensor:
        """Turns (B, T, D) frame features into (B, D) video features."""
        x = clips if self.positions is None else clips + self.positions
        if not len(self.blocks):
            return x.mean(dim=1)
        for block in self.blocks[:-1]:
            x = block(x)
        last = self.blocks[-1]
        assert isinstance(last, Block)
        return last.mean(x)
