"""The text encoders of open_clip as data: those that it makes itself, causal or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from featx.clip.text_format import FeatureAt, Mask, TextFormat
from featx.clip.text_weights import Activation, Affine, BlockWeights, TextWeights
from featx.encoders.hub import hub_folder
from featx.encoders.openai_text import affine_of, block_weights, norm_of, openai_format
from featx.encoders.transformers_folder import INSTALL
from featx.encoders.transformers_tokens import text_format
from featx.errors import FeatxError

PLACES: dict[str, FeatureAt] = {"argmax": "end", "eos": "end", "last": "last", "first": "first"}


def open_clip_format(config: dict[str, Any], said: str) -> TextFormat:
    """Returns how a text encoder takes texts.

    Args:
        config: Of the architecture.
        said: The option as the user gave it, for messages.

    Raises:
        FeatxError: If featx does not know such an encoder, or its tokenizer is not there.
    """
    from open_clip.model import CLIPTextCfg

    if config["text_cfg"].get("hf_model_name"):
        raise FeatxError(
            f"{said}: its text encoder is {config['text_cfg']['hf_model_name']} of transformers, which featx does not support"
        )
    text = CLIPTextCfg(**config["text_cfg"])
    if text.embed_cls:
        raise FeatxError(f"{said}: a text encoder with a class token (CoCa), which featx does not support")
    causal = not text.no_causal_mask
    place = PLACES.get(text.pool_type)
    if place is None or (causal and place != "end"):
        raise FeatxError(f"{said}: takes its feature in a way ({text.pool_type}) that featx does not support")
    if text.tokenizer_mode:
        raise FeatxError(
            f"{said}: its tokenizer works in the mode '{text.tokenizer_mode}', which featx does not support"
        )
    mask: Mask = "causal" if causal else "none"
    if not text.hf_tokenizer_name:
        from open_clip import SimpleTokenizer

        form = replace(openai_format(), positions=text.context_length, mask=mask, feature_at=place)
        return replace(form, tokenize=SimpleTokenizer(**(text.tokenizer_kwargs or {})).encode)
    from open_clip.tokenizer import HFTokenizer

    folder = hub_folder(text.hf_tokenizer_name, said, with_weights=False)
    try:
        tokenizer = HFTokenizer(str(folder), text.context_length, **(text.tokenizer_kwargs or {}))
    except ImportError as error:
        raise FeatxError(f"{said}: its tokenizer {INSTALL}") from error
    except (OSError, ValueError) as error:
        raise FeatxError(
            f"{said}: its tokenizer {text.hf_tokenizer_name} cannot be read ({error})"
        ) from error
    sizes = text.vocab_size, text.context_length
    form = text_format(tokenizer.tokenizer, sizes, mask, place, said, tokenizer.clean_fn)
    if tokenizer.strip_sep_token:  # CLIPA: padding in its place
        separator = tokenizer.tokenizer.sep_token_id
        form = replace(form, end=tuple(0 if token == separator else token for token in form.end))
    if text.pool_type == "eos" and form.end[-1:] != (text.eos_id,):
        raise FeatxError(
            f"{said}: its tokenizer ends texts with {form.end}, its text encoder expects {text.eos_id}"
        )
    return form


def open_clip_text(model: nn.Module) -> TextWeights:
    """Returns the text encoder of a `CLIP` or `CustomTextCLIP`.

    Args:
        model: The module.

    Raises:
        FeatxError: If it computes something that featx does not know.
    """
    text: Any = getattr(model, "text", model)
    blocks = text.transformer.resblocks
    projection = text.text_projection
    width = text.token_embedding.weight.shape[1]
    if isinstance(projection, nn.Linear):
        matrix, bias = projection.weight.detach().T, projection.bias
    else:  # without one, the feature is the row itself
        words = text.token_embedding.weight
        matrix = (
            torch.eye(width, dtype=words.dtype, device=words.device)
            if projection is None
            else projection.detach()
        )
        bias = None
    return TextWeights(
        words=text.token_embedding.weight.detach(),
        positions=text.positional_embedding.detach(),
        blocks=tuple(_block(block) for block in blocks),
        projection=matrix,
        heads=blocks[0].attn.num_heads,
        activation=_activation(blocks[0].mlp.gelu),
        final_norm=norm_of(text.ln_final),
        projection_bias=None if bias is None else bias.detach(),
    )


def _block(block: Any) -> BlockWeights:
    if not isinstance(block.attn, nn.MultiheadAttention) or block.attn.in_proj_bias is None:
        raise FeatxError("its text encoder has blocks of its own kind, which featx does not support")
    plain = block_weights(block)
    return replace(
        plain, out=_scaled(block.attn.out_proj, block.ls_1), down=_scaled(block.mlp.c_proj, block.ls_2)
    )


def _scaled(linear: nn.Linear, scale: nn.Module) -> Affine:
    """Returns a matrix product with the factor of each of its outputs, if there is one, in the weights."""
    affine = affine_of(linear)
    if isinstance(scale, nn.Identity):
        return affine
    gamma: Tensor = scale.gamma.detach()  # type: ignore[operator]
    return Affine(affine.weight * gamma[:, None], affine.bias * gamma)


def _activation(module: nn.Module) -> Activation:
    from open_clip.transformer import QuickGELU

    if isinstance(module, QuickGELU):
        return "quickgelu"
    if isinstance(module, nn.GELU):
        return "gelu-tanh" if module.approximate == "tanh" else "gelu"
    raise FeatxError(
        f"its text encoder's activation is {type(module).__name__}, which featx does not support"
    )
