"""Models of Hugging Face's `transformers`: CLIP, SigLIP and ALIGN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from featx.clip.text_format import FeatureAt, Mask, TextFormat
from featx.clip.text_weights import TextEncoder, TextWeights
from featx.devices import first_line
from featx.encoders.families import family_of, within_family
from featx.encoders.model import ImageTextModel, frozen, weights_digest
from featx.encoders.transformers_folder import find_folder, quiet_transformers, read_config
from featx.encoders.transformers_pictures import read_preprocessing
from featx.encoders.transformers_text import align_text, clip_text, siglip_text
from featx.encoders.transformers_tokens import read_tokenizer, text_format
from featx.errors import FeatxError


class PooledPictures(nn.Module):
    """An image tower that returns its feature alone."""

    def __init__(self, tower: nn.Module, projection: nn.Module) -> None:
        """Takes the tower, and what follows it."""
        super().__init__()
        self.tower = tower
        self.projection = projection

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns (B, D) of normalised (B, 3, n, n)."""
        features: Tensor = self.projection(self.tower(pixel_values=pictures).pooler_output)
        return features


@dataclass(frozen=True)
class Family:
    """What is particular to a family.

    Attributes:
        architecture: The class of `transformers`.
        text: Returns the text encoder of its module.
        mask: What a position of its text encoder sees.
        feature_at: Where the text's feature is taken.
    """

    architecture: str
    text: Callable[[Any], TextWeights]
    mask: Mask
    feature_at: FeatureAt


# SigLIP was trained with texts padded to all positions, without a mask: padding is seen (transformers#26522).
KINDS = {
    "hf-clip": Family("CLIPModel", clip_text, "causal", "end"),
    "siglip": Family("SiglipModel", siglip_text, "none", "last"),
    "align": Family("AlignModel", align_text, "padding", "first"),
}


def load_transformers(source: str) -> ImageTextModel:
    """Loads a model that `save_pretrained` has written.

    Args:
        source: As given to `--model`: `hf-clip:`, `siglip:` or `align:` before a folder or a name on the Hub.

    Raises:
        FeatxError: If it is not there, is of another family, or weights, tokenizer or image processor do not fit.
    """
    said, folder = f"--model {source}", find_folder(source)
    config = read_config(folder, source)
    form = _format(folder, config, source)
    preprocessing = read_preprocessing(folder, config.vision_config.image_size, said)
    model = frozen(_read_weights(folder, KINDS[family_of(source)].architecture, said))
    return of_transformers(model, form, preprocessing, source)


def of_transformers(
    model: Any, form: TextFormat, preprocessing: Any, source: str, weights_sha256: str | None = None
) -> ImageTextModel:
    """Returns a module of `transformers` as featx sees it.

    Args:
        model: The module, frozen.
        form: How its text encoder takes texts.
        preprocessing: How a frame becomes its input.
        source: As given to `--model`.
        weights_sha256: Of its weights; computed if not given.

    Raises:
        FeatxError: If its text encoder computes something that featx does not know.
    """
    family, wanted = family_of(source), within_family(source)
    projection = getattr(model, "visual_projection", None) or nn.Identity()
    try:
        text = TextEncoder(form, KINDS[family].text(model))
    except FeatxError as error:
        raise FeatxError(f"--model {source}: {error}") from error
    folder = Path(wanted).expanduser()
    bias = getattr(model, "logit_bias", None)
    return ImageTextModel(
        family=family,
        source=source,
        name=folder.resolve().name if folder.is_dir() else wanted,
        weights_sha256=weights_digest(model) if weights_sha256 is None else weights_sha256,
        model=model,
        visual=PooledPictures(model.vision_model, projection),
        text=text,
        preprocessing=preprocessing,
        # ALIGN divides by a temperature
        logit_scale=1 / float(model.temperature) if family == "align" else float(model.logit_scale.exp()),
        logit_bias=0.0 if bias is None else float(bias),
    )


def read_transformers_format(source: str) -> TextFormat:
    """Returns how the text encoder of a model takes texts, without its weights.

    Args:
        source: As `load_transformers` takes it.

    Raises:
        FeatxError: If configuration or tokenizer cannot be read.
    """
    folder = find_folder(source, with_weights=False)
    return _format(folder, read_config(folder, source), source)


def _format(folder: Path, config: Any, source: str) -> TextFormat:
    kind, said = KINDS[family_of(source)], f"--model {source}"
    text = config.text_config
    sizes = text.vocab_size, text.max_position_embeddings
    return text_format(read_tokenizer(folder, said), sizes, kind.mask, kind.feature_at, said)


def _read_weights(folder: Path, architecture: str, said: str) -> nn.Module:
    """Reads a model's weights, all of them: what is missing would be random numbers.

    Raises:
        FeatxError: If they cannot be read, or some are missing or of another shape.
    """
    import transformers

    try:
        with quiet_transformers():
            model, found = getattr(transformers, architecture).from_pretrained(
                folder,
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except (ImportError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise FeatxError(f"{said}: its weights cannot be read ({first_line(error)})") from error
    missing = sorted({*found["missing_keys"], *(str(one[0]) for one in found["mismatched_keys"])})
    if missing:
        raise FeatxError(
            f"{said}: {len(missing)} of its weights are missing or of another shape than its configuration says, "
            f"'{missing[0]}' first"
        )
    module: nn.Module = model
    return module
