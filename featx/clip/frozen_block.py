"""One residual block of a text Transformer with frozen weights, over packed rows.

All that a block does to a row alone (LayerNorm, matrix products) runs on (N, W), without padding; only attention
brings the rows of a text together. See docs/training.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from featx.clip.text_plan import PackedTexts
from featx.clip.text_weights import Activation, Affine, BlockWeights

QUICK_GELU = 1.702  # clip/model.py: QuickGELU(x) = x sigmoid(1.702 x)
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    # QuickGELU(x) = silu(1.702 x) / 1.702: with both factors in the weights one fused pass is left of three.
    "quickgelu": functional.silu,
    "gelu": functional.gelu,
    "gelu-tanh": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
}


class FrozenBlock:
    """The weights of a block, cast once: LayerNorm as it is, matrix products in ``dtype``.

    The residual stream stays in the weights' own precision; gradients reach the input, never the weights.
    """

    def __init__(
        self, weights: BlockWeights, heads: int, activation: Activation, norm_first: bool, dtype: torch.dtype
    ) -> None:
        """Takes over the weights of a block.

        Args:
            weights: They are left as they are.
            heads: Of attention.
            activation: Of the MLP.
            norm_first: Whether it normalises before attention and MLP, or after each sum.
            dtype: Of the matrix products and of attention.
        """

        def cast(affine: Affine, weight_scale: float = 1.0, bias_scale: float = 1.0) -> Affine:
            scaled = (
                tensor if scale == 1.0 else tensor * scale
                for tensor, scale in ((affine.weight, weight_scale), (affine.bias, bias_scale))
            )
            return Affine(*(tensor.to(dtype) for tensor in scaled))

        width = weights.out.weight.shape[1]
        self.heads = heads
        self.dtype = dtype
        self.norm_first = norm_first
        self.norm_1, self.norm_2 = weights.norm_1, weights.norm_2
        self.qkv = cast(weights.qkv)
        self.q = Affine(self.qkv.weight[:width], self.qkv.bias[:width])
        self.kv = Affine(self.qkv.weight[width:], self.qkv.bias[width:])
        self.out = cast(weights.out)
        scale = QUICK_GELU if activation == "quickgelu" else 1.0
        self.up = cast(weights.up, scale, scale)
        self.down = cast(weights.down, 1 / scale)
        self.activate = ACTIVATIONS[activation]

    def __call__(self, x: Tensor, packed: PackedTexts) -> Tensor:
        """Returns (N, W) of (N, W)."""
        qkv = self.qkv(self._rows(x))
        return self._finish(x, attend(qkv, packed, self.heads))

    def first(self, distinct: Tensor, packed: PackedTexts) -> Tensor:
        """Returns (N, W) of the (U, W) distinct inputs: before attention, equal inputs are computed once."""
        qkv = gather_rows(self.qkv(self._rows(distinct)), packed.inputs)
        return self._finish(gather_rows(distinct, packed.inputs), attend(qkv, packed, self.heads))

    def last(self, x: Tensor, packed: PackedTexts) -> Tensor:
        """Returns (C, W), the rows of the features only: every row is a key and a value, but nothing else of it is read."""
        y = self._rows(x)
        query = self.q(gather_rows(y, packed.feature_rows))  # (C, W)
        attended = attend_from_features(query, self.kv(y), packed, self.heads)
        return self._finish(gather_rows(x, packed.feature_rows), attended)

    def _rows(self, x: Tensor) -> Tensor:
        return (self.norm_1(x) if self.norm_first else x).to(self.dtype)

    def _finish(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.out(attended)
        if not self.norm_first:
            x = self.norm_1(x)
        hidden = self.activate(self.up((self.norm_2(x) if self.norm_first else x).to(self.dtype)))  # (N, M)
        x = x + self.down(hidden)
        return x if self.norm_first else self.norm_2(x)


def gather_rows(table: Tensor, rows: Tensor) -> Tensor:
    """Returns ``table[rows]``; the gradient of an embedding is written faster than that of an index."""
    return functional.embedding(rows, table)


def attend(qkv: Tensor, packed: PackedTexts, heads: int) -> Tensor:
    """Attention within each text: (N, 3W) queries, keys and values of all rows to (N, W)."""
    shared, own = _split(qkv, packed)
    query, key, value = _by_head(_to_grid(own, packed), 3, packed.texts, heads)  # (C, heads, S, W / heads)
    if not packed.prefix:
        return _from_grid(attention(query, key, value, packed.mask), packed)
    shared_query, shared_key, shared_value = _by_head(
        shared, 3, packed.groups, heads
    )  # (G, heads, P, W / heads)
    own = attention(query, _before(shared_key, key), _before(shared_value, value), packed.mask)
    prefix = shared_query.shape[2]
    causal = torch.ones(prefix, prefix, dtype=torch.bool, device=qkv.device).tril()
    shared = attention(shared_query, shared_key, shared_value, causal)
    return torch.cat([shared.transpose(1, 2).flatten(2).flatten(0, 1), _from_grid(own, packed)])


def attend_from_features(query: Tensor, kv: Tensor, packed: PackedTexts, heads: int) -> Tensor:
    """Attention of the features' rows alone: (C, W) queries, (N, 2W) keys and values of all rows to (C, W)."""
    shared, own = _split(kv, packed)
    key, value = _by_head(_to_grid(own, packed), 2, packed.texts, heads)
    if packed.prefix:
        shared_key, shared_value = _by_head(shared, 2, packed.groups, heads)
        key, value = _before(shared_key, key), _before(shared_value, value)
    query = query.unflatten(1, (heads, 1, -1))  # (C, heads, 1, W / heads)
    attended = attention(query, key, value, packed.feature_mask)
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
    """Puts (N - G P, F) own rows into the (C * S, F) grid; the empty slots at the end of a text are never seen."""
    slots = packed.texts * packed.slots_per_text
    return own.new_zeros(slots, own.shape[1]).index_copy(0, packed.slots, own)


def _from_grid(attended: Tensor, packed: PackedTexts) -> Tensor:
    """Takes (N - G P, W) own rows out of (C, heads, S, W / heads)."""
    return gather_rows(attended.transpose(1, 2).flatten(2).flatten(0, 1), packed.slots)


def _by_head(rows: Tensor, parts: int, texts: int, heads: int) -> Tensor:
    """Turns (C * S, parts * W) into (parts, C, heads, S, W / heads)."""
    return rows.view(texts, -1, parts, heads, rows.shape[1] // (parts * heads)).permute(2, 0, 3, 1, 4)


def _before(shared: Tensor, own: Tensor) -> Tensor:
    """Puts what the texts of a group share before each text's own: (G, heads, P, .) and (C, heads, S, .)."""
    groups, texts = len(shared), len(own) // len(shared)
    shared = shared[:, None].expand(-1, texts, -1, -1, -1)  # (G, C / G, heads, P, .)
    return torch.cat([shared, own.unflatten(0, (groups, texts))], dim=3).flatten(0, 1)
