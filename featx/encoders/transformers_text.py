"""The text encoders of `transformers` as data: those laid out as CLIP's, and BERT's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from featx.clip.text_weights import Activation, Affine, BlockWeights, Norm, TextWeights
from featx.encoders.openai_text import affine_of, norm_of
from featx.errors import FeatxError

if TYPE_CHECKING:
    from transformers import AlignModel, CLIPModel, SiglipModel

ACTIVATIONS: dict[str, Activation] = {
    "quick_gelu": "quickgelu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu-tanh",
    "gelu_new": "gelu-tanh",
    "relu": "relu",
}


def clip_text(model: CLIPModel) -> TextWeights:
    """Returns the text encoder of a `CLIPModel`."""
    return _like_clip(model.text_model, model.text_projection)


def siglip_text(model: SiglipModel) -> TextWeights:
    """Returns the text encoder of a `SiglipModel`."""
    text: Any = model.text_model
    return _like_clip(text, text.head)


def align_text(model: AlignModel) -> TextWeights:
    """Returns the text encoder of an `AlignModel`, which is BERT: it normalises after each sum."""
    text: Any = model.text_model
    embeddings, config = text.embeddings, text.config
    kinds = embeddings.token_type_embeddings.weight.detach()
    return TextWeights(
        words=embeddings.word_embeddings.weight.detach(),
        # all tokens are of the first kind
        positions=embeddings.position_embeddings.weight.detach() + kinds[0],
        blocks=tuple(
            BlockWeights(
                norm_1=norm_of(layer.attention.output.LayerNorm),
                qkv=_joined(layer.attention.self.query, layer.attention.self.key, layer.attention.self.value),
                out=affine_of(layer.attention.output.dense),
                norm_2=norm_of(layer.output.LayerNorm),
                up=affine_of(layer.intermediate.dense),
                down=affine_of(layer.output.dense),
            )
            for layer in text.encoder.layer
        ),
        projection=model.text_projection.weight.detach().T,
        heads=config.num_attention_heads,
        activation=activation_of(config),
        norm_first=False,
        input_norm=norm_of(embeddings.LayerNorm),
        projection_bias=_bias(model.text_projection),
    )


def activation_of(config: Any) -> Activation:
    """Returns the activation that a configuration names.

    Args:
        config: Of a text encoder.

    Raises:
        FeatxError: If featx does not know it.
    """
    name = config.hidden_act
    if name not in ACTIVATIONS:
        raise FeatxError(f"its text encoder's activation '{name}' is not one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def _like_clip(text: Any, projection: nn.Linear) -> TextWeights:
    final: Norm = norm_of(text.final_layer_norm)
    return TextWeights(
        words=text.embeddings.token_embedding.weight.detach(),
        positions=text.embeddings.position_embedding.weight.detach(),
        blocks=tuple(
            BlockWeights(
                norm_1=norm_of(layer.layer_norm1),
                qkv=_joined(layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj),
                out=affine_of(layer.self_attn.out_proj),
                norm_2=norm_of(layer.layer_norm2),
                up=affine_of(layer.mlp.fc1),
                down=affine_of(layer.mlp.fc2),
            )
            for layer in text.encoder.layers
        ),
        projection=projection.weight.detach().T,
        heads=text.config.num_attention_heads,
        activation=activation_of(text.config),
        final_norm=final,
        projection_bias=_bias(projection),
    )


def _joined(*parts: nn.Linear) -> Affine:
    """Returns queries before keys before values as one matrix product."""
    return Affine(
        torch.cat([part.weight.detach() for part in parts]), torch.cat([part.bias.detach() for part in parts])
    )


def _bias(linear: nn.Linear) -> Tensor | None:
    return None if linear.bias is None else linear.bias.detach()
