"""One residual block of CLIP's text Transformer with frozen weights, over packed rows.

All that a block does to a row alone (LayerNorm, matrix products) runs on (N, W), without padding; only attention
brings the rows of a text together. See docs/training.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from featx.clip.text_plan import PackedTexts

if TYPE_CHECKING:
    from clip.model import ResidualAttentionBlock

QUICK_GELU = 1.702  # clip/model.py: QuickGELU(x) = x sigmoid(1.702 x)


@dataclass(frozen=True)
class Affine:
    """Weight and bias of a frozen LayerNorm or matrix product."""

    weight: Tensor
    bias: Tensor

    def normalise(self, x: Tensor) -> Tensor:
        """Returns the LayerNorm of (N, W) in x's precision."""
        return functional.layer_norm(x, self.bias.shape, self.weight, self.bias)

    def __call__(self, x: Tensor) -> Tensor:
        """Returns x weight^T + bias; autograd keeps nothing but the weight, for the weight takes no gradient."""
        return functional.linear(x, self.weight, self.bias)


class FrozenBlock:
    """The weights of a block, cast once: LayerNorm as it is, matrix products in ``dtype``.

    The residual stream stays in the weights' own precision; gradients reach the input, never the weights.
    """

    def __init__(self, block: ResidualAttentionBlock, dtype: torch.dtype) -> None:
        """Takes over the weights of CLIP's own block.

        Args:
            block: The block; it is left as it is.
            dtype: Of the matrix products and of attention.
        """

        def affine(
            weight: Tensor, bias: Tensor, weight_scale: float = 1.0, bias_scale: float = 1.0
        ) -> Affine:
            scaled = (
                tensor if scale == 1.0 else tensor * scale
                for tensor, scale in ((weight, weight_scale), (bias, bias_scale))
            )
            return Affine(*(tensor.detach().to(dtype) for tensor in scaled))

        attention, up, down = block.attn, block.mlp.c_fc, block.mlp.c_proj
        width = attention.embed_dim
        self.heads = attention.num_heads
        self.dtype = dtype
        self.ln_1 = Affine(block.ln_1.weight.detach(), block.ln_1.bias.detach())
        self.ln_2 = Affine(block.ln_2.weight.detach(), block.ln_2.bias.detach())
        self.qkv = affine(attention.in_proj_weight, attention.in_proj_bias)
        self.q = Affine(self.qkv.weight[:width], self.qkv.bias[:width])
        self.kv = Affine(self.qkv.weight[width:], self.qkv.bias[width:])
        self.out = affine(attention.out_proj.weight, attention.out_proj.bias)
        # QuickGELU(x) = silu(1.702 x) / 1.702: with both factors in the weights one fused pass is left of three.
        self.up = affine(up.weight, up.bias, QUICK_GELU, QUICK_GELU)
        self.down = affine(down.weight, down.bias, 1 / QUICK_GELU)

    def __call__(self, x: Tensor, packed: PackedTexts) -> Tensor:
        """Returns (N, W) of (N, W)."""
        qkv = self.qkv(self._rows(x))
        return self._finish(x, attend(qkv, packed, self.heads))

    def first(self, distinct: Tensor, packed: PackedTexts) -> Tensor:
        """Returns (N, W) of the (U, W) distinct inputs: before attention, equal inputs are computed once."""
        qkv = gather_rows(self.qkv(self._rows(distinct)), packed.inputs)
        return self._finish(gather_rows(distinct, packed.inputs), attend(qkv, packed, self.heads))

    def last(self, x: Tensor, packed: PackedTexts) -> Tensor:
        """Returns (C, W), EOT's rows only: every row is a key and a value, but nothing else of it is read."""
        y = self._rows(x)
        query = self.q(gather_rows(y, packed.eot))  # (C, W)
        attended = attend_from_eot(query, self.kv(y), packed, self.heads)
        return self._finish(gather_rows(x, packed.eot), attended)

    def _rows(self, x: Tensor) -> Tensor:
        return self.ln_1.normalise(x).to(self.dtype)

    def _finish(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.out(attended)
        hidden = functional.silu(self.up(self.ln_2.normalise(x).to(self.dtype)))  # (N, 4W)
        return x + self.down(hidden)


def gather_rows(table: Tensor, rows: Tensor) -> Tensor:
    """Returns ``table[rows]``; the gradient of an embedding is written faster than that of an index."""
    return functional.embedding(rows, table)


def attend(qkv: Tensor, packed: PackedTexts, heads: int) -> Tensor:
    """Attention within each text: (N, 3W) queries, keys and values of all rows to (N, W)."""
    shared, own = _split(qkv, packed)
    shared_query, shared_key, shared_value = _by_head(
        shared, 3, packed.groups, heads
    )  # (G, heads, P, W / heads)
    query, key, value = _by_head(_to_grid(own, packed), 3, len(packed.eot), heads)  # (C, heads, S, W / heads)
    own = attention(query, _before(shared_key, key), _before(shared_value, value), packed.mask)
    own = gather_rows(own.transpose(1, 2).flatten(2).flatten(0, 1), packed.slots)  # (N - P, W)
    prefix = shared_query.shape[2]
    causal = torch.ones(prefix, prefix, dtype=torch.bool, device=qkv.device).tril()
    shared = attention(shared_query, shared_key, shared_value, causal)
    return torch.cat([shared.transpose(1, 2).flatten(2).flatten(0, 1), own])


def attend_from_eot(query: Tensor, kv: Tensor, packed: PackedTexts, heads: int) -> Tensor:
    """Attention of EOT alone: (C, W) queries, (N, 2W) keys and values of all rows to (C, W)."""
    shared, own = _split(kv, packed)
    shared_key, shared_value = _by_head(shared, 2, packed.groups, heads)
    key, value = _by_head(_to_grid(own, packed), 2, len(packed.eot), heads)
    query = query.unflatten(1, (heads, 1, -1))  # (C, heads, 1, W / heads)
    attended = attention(query, _before(shared_key, key), _before(shared_value, value), packed.eot_mask)
    return attended.flatten(1)


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Scaled dot-product attention; ``mask`` is True where a key is seen.

    On a CPU texts are so short that plain products are the faster way, in bf16 by three to five times.
    """
    if query.device.type != "cpu":
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    unseen = torch.zeros(mask.shape, dtype=scores.dtype).masked_fill(~mask, -torch.inf)
    attended: Tensor = (scores + unseen).softmax(dim=-1) @ value
    return attended


def _split(rows: Tensor, packed: PackedTexts) -> tuple[Tensor, Tensor]:
    own = len(packed.slots)
    shared, own_rows = rows.split([len(rows) - own, own])
    return shared, own_rows


def _to_grid(own: Tensor, packed: PackedTexts) -> Tensor:
    """Puts (N - P, F) own rows into the (C * S, F) grid; the empty slots at the end of a text are never seen."""
    slots = len(packed.eot) * len(packed.mask)
    return own.new_zeros(slots, own.shape[1]).index_copy(0, packed.slots, own)


def _by_head(rows: Tensor, parts: int, texts: int, heads: int) -> Tensor:
    """Turns (C * S, parts * W) into (parts, C, heads, S, W / heads)."""
    return rows.view(texts, -1, parts, heads, rows.shape[1] // (parts * heads)).permute(2, 0, 3, 1, 4)


def _before(shared: Tensor, own: Tensor) -> Tensor:
    """Puts what the texts of a group share before each text's own: (G, heads, P, .) and (C, heads, S, .)."""
    groups, texts = len(shared), len(own) // len(shared)
    shared = shared[:, None].expand(-1, texts, -1, -1, -1)  # (G, C / G, heads, P, .)
    return torch.cat([shared, own.unflatten(0, (groups, texts))], dim=3).flatten(0, 1)
