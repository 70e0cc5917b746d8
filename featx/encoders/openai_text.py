"""OpenAI's text encoder as data."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from featx.clip.text_format import TextFormat
from featx.clip.text_weights import Affine, BlockWeights, Norm, TextEncoder, TextWeights

if TYPE_CHECKING:
    from clip.model import CLIP, ResidualAttentionBlock
    from torch import nn

CONTEXT_LENGTH = 77
WORD_END = "</w>"


@cache
def openai_format() -> TextFormat:
    """Returns how OpenAI's CLIP takes texts: 77 positions, of which each sees those before it; read at EOT."""
    import clip

    tokenizer = clip.clip._tokenizer

    def word(token: int) -> str:
        name = tokenizer.decoder[token]
        # the tokenizer writes every byte of UTF-8 as a character of its own
        letters = bytes(tokenizer.byte_decoder[character] for character in name.removesuffix(WORD_END))
        return letters.decode("utf-8", "replace") + ("" if name.endswith(WORD_END) else "-")

    sot, eot = tokenizer.encoder["<|startoftext|>"], tokenizer.encoder["<|endoftext|>"]
    return TextFormat(tokenizer.encode, word, (sot,), (eot,), 0, CONTEXT_LENGTH, "causal", "end", (sot, eot))


def openai_text(model: CLIP) -> TextEncoder:
    """Returns the text encoder of OpenAI's module; the tensors are the module's own."""
    weights = TextWeights(
        words=model.token_embedding.weight.detach(),
        positions=model.positional_embedding.detach(),
        blocks=tuple(block_weights(block) for block in model.transformer.resblocks),
        projection=model.text_projection.detach(),
        heads=model.transformer.resblocks[0].attn.num_heads,
        activation="quickgelu",
        final_norm=norm_of(model.ln_final),
    )
    return TextEncoder(openai_format(), weights)


def block_weights(block: ResidualAttentionBlock) -> BlockWeights:
    """Returns the weights of a block that is laid out as OpenAI's."""
    attention = block.attn
    return BlockWeights(
        norm_1=norm_of(block.ln_1),
        qkv=Affine(attention.in_proj_weight.detach(), attention.in_proj_bias.detach()),
        out=affine_of(attention.out_proj),
        norm_2=norm_of(block.ln_2),
        up=affine_of(block.mlp.c_fc),
        down=affine_of(block.mlp.c_proj),
    )


def affine_of(linear: nn.Linear) -> Affine:
    """Returns the weights of a linear layer with a bias."""
    return Affine(linear.weight.detach(), linear.bias.detach())


def norm_of(norm: nn.LayerNorm) -> Norm:
    """Returns the weights of a LayerNorm."""
    return Norm(norm.weight.detach(), norm.bias.detach(), norm.eps)
