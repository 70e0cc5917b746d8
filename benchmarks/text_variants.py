"""The text tower as public code writes it, and each exact saving added in turn, written the readable way.

The last of them, packed rows, is featx itself (`featx.encoders.text`). All work on CLIP's own modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from clip.model import CLIP, ResidualAttentionBlock
from torch import Tensor
from torch.nn import functional

from featx.encoders.openai_text import openai_format
from featx.encoders.text import TextPlan, TextTower, plan_texts

PROMPTS = 16
CHUNK = 50  # texts at once where memory would not hold all of them
Encode = Callable[[TextPlan, Tensor], Tensor]


def embed(model: CLIP, plan: TextPlan, table: Tensor, positions: int) -> Tensor:
    """Returns (C, positions, W): words and prompts, each in its place, padded with zeros."""
    room = (0, positions - plan.token_ids.shape[1])
    token_ids = functional.pad(plan.token_ids, room).to(table.device)
    rows = functional.pad(plan.prompt_rows, room, value=-1).to(table.device)
    x = torch.where((rows >= 0)[..., None], table[rows.clamp(min=0)], model.token_embedding(token_ids))
    return x + model.positional_embedding[:positions]


def read_eot(model: CLIP, x: Tensor, eot: Tensor) -> Tensor:
    """Returns (C, D) from (C, L, W)."""
    rows = torch.arange(len(x), device=x.device)
    return model.ln_final(x[rows, eot.to(x.device)]) @ model.text_projection


def padded(model: CLIP, plan: TextPlan, table: Tensor, positions: int | None = None) -> Tensor:
    """CLIP's own transformer over ``positions`` of every text: 77 is the plain way, None trims to the longest."""
    x = embed(model, plan, table, positions or int(plan.lengths.max()))
    x = model.transformer(x.permute(1, 0, 2)).permute(1, 0, 2)
    return read_eot(model, x, plan.feature_at)


def shared_prefix(model: CLIP, plan: TextPlan, table: Tensor, eot_last: bool) -> Tensor:
    """SOT and prefix prompts once, (1, P, W); the rest of every text padded to the longest, (C, S, W)."""
    prefix = plan.prefix
    x = embed(model, plan, table, int(plan.lengths.max()))
    shared, own = x[:1, :prefix], x[:, prefix:]
    eot = plan.feature_at.to(x.device) - prefix
    *blocks, last = model.transformer.resblocks
    for block in blocks:
        shared, own = block_with_prefix(block, shared, own)
    if not eot_last:
        return read_eot(model, block_with_prefix(last, shared, own)[1], eot)
    own = last_block(last, shared, own, eot)
    return model.ln_final(own) @ model.text_projection


def project(block: ResidualAttentionBlock, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns queries, keys and values, each (C, heads, S, W / heads)."""
    qkv = functional.linear(block.ln_1(x), block.attn.in_proj_weight, block.attn.in_proj_bias)
    query, key, value = qkv.unflatten(2, (3, block.attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    return query, key, value


def finish(block: ResidualAttentionBlock, x: Tensor, attended: Tensor) -> Tensor:
    """The rest of a block: (C, heads, S, W / heads) attended values back onto the residual stream."""
    x = x + block.attn.out_proj(attended.transpose(1, 2).flatten(2))
    return x + block.mlp(block.ln_2(x))


def block_with_prefix(block: ResidualAttentionBlock, shared: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """One block for (1, P, W) and (C, S, W), each text attending to the shared positions too."""
    texts, longest, prefix = len(own), own.shape[1], shared.shape[1]
    query, key, value = project(block, own)
    shared_query, shared_key, shared_value = project(block, shared)
    mask = torch.ones(longest, prefix + longest, dtype=torch.bool, device=own.device).tril(prefix)
    keys = torch.cat([shared_key.expand(texts, -1, -1, -1), key], dim=2)
    values = torch.cat([shared_value.expand(texts, -1, -1, -1), value], dim=2)
    attended = functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
    shared_attended = functional.scaled_dot_product_attention(
        shared_query, shared_key, shared_value, is_causal=True
    )
    return finish(block, shared, shared_attended), finish(block, own, attended)


def last_block(block: ResidualAttentionBlock, shared: Tensor, own: Tensor, eot: Tensor) -> Tensor:
    """The last block where it is read, at EOT: (C, W)."""
    texts, width = len(own), own.shape[2]
    heads = block.attn.num_heads
    weight, bias = block.attn.in_proj_weight, block.attn.in_proj_bias
    rows = torch.arange(texts, device=own.device)

    def keys_and_values(x: Tensor) -> Tensor:
        kv = functional.linear(block.ln_1(x), weight[width:], bias[width:])
        return kv.unflatten(2, (2, heads, -1)).permute(2, 0, 3, 1, 4)  # (2, C, heads, S, W / heads)

    own_kv = keys_and_values(own)
    key, value = torch.cat([keys_and_values(shared).expand(-1, texts, -1, -1, -1), own_kv], dim=3)
    x = own[rows, eot]  # (C, W)
    query = functional.linear(block.ln_1(x), weight[:width], bias[:width]).view(texts, heads, 1, -1)
    seen = torch.arange(key.shape[2], device=own.device) <= shared.shape[1] + eot[:, None]  # (C, P + S)
    attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None, None])
    return finish(block, x[:, None], attended)[:, 0]


@dataclass(frozen=True)
class Variant:
    """A way to encode texts.

    Attributes:
        name: As in the table.
        encode: (plan, prompt table) to (C, D).
        suffix: k+X+k, or k+X+0.
        chunk: Texts at once; 0: all. Only the first chunk is run then: a text costs the same in each.
    """

    name: str
    encode: Encode
    suffix: bool = True
    chunk: int = 0


def variants(model: CLIP, classes: int, compiled: bool) -> dict[str, Variant]:
    """Returns the plain way first, then each saving on top of those before it."""
    chunk = CHUNK if classes > 2 * CHUNK else 0
    exact = TextTower(model).encode
    bf16 = TextTower(model, "bf16").encode
    found = [
        Variant("plain", partial(padded, model, positions=77), chunk=chunk),
        Variant("trim", partial(padded, model), chunk=chunk),
        Variant("prefix", partial(shared_prefix, model, eot_last=False)),
        Variant("eot-last", partial(shared_prefix, model, eot_last=True)),
        Variant("packed", exact),
        Variant("recomputed", TextTower(model, checkpoint=True).encode),
        Variant("bf16", bf16),
        Variant("prefix-only", exact, suffix=False),
        Variant("prefix-only bf16", bf16, suffix=False),
    ]
    if compiled:
        found += [
            Variant("compiled", TextTower(model, compile=True).encode),
            Variant("bf16 compiled", TextTower(model, "bf16", compile=True).encode),
        ]
    return {variant.name: variant for variant in found}


def plan_of(variant: Variant, names: list[str], device: str) -> TextPlan:
    """Returns the texts that a variant encodes: all, or a chunk."""
    size = variant.chunk or len(names)
    return plan_texts(openai_format(), names[:size], PROMPTS, suffix=variant.suffix).to(device)
