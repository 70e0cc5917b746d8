"""From what a user writes behind `--model` to the model."""

from __future__ import annotations

from functools import lru_cache

from featx.clip.text_format import TextFormat
from featx.encoders.families import OPENAI_FAMILY, family_of
from featx.encoders.model import ImageTextModel
from featx.encoders.openai import load_openai
from featx.encoders.openai_text import openai_format


def load_model(source: str, is_openai: bool = False) -> ImageTextModel:
    """Loads a frozen image-text model.

    Args:
        source: `tiny`, one of OpenAI's names, the path of a checkpoint, or one of `FAMILIES` before a colon and what
            the model is called there.
        is_openai: Whether it is known that a checkpoint in OpenAI's layout computes QuickGELU.

    Raises:
        FeatxError: If it is not there, or is not such a model.
    """
    if family_of(source) == OPENAI_FAMILY:
        return load_openai(source, is_openai)
    if family_of(source) == "open_clip":
        from featx.encoders.open_clip_models import load_open_clip

        return load_open_clip(source)
    from featx.encoders.transformers_models import load_transformers

    return load_transformers(source)


@lru_cache(maxsize=16)
def load_text_format(source: str) -> TextFormat:
    """Returns how the text encoder of a model takes texts, without its weights.

    Args:
        source: As `load_model` takes it.

    Raises:
        FeatxError: If there is no such model.
    """
    if family_of(source) == OPENAI_FAMILY:
        return openai_format()
    if family_of(source) == "open_clip":
        from featx.encoders.open_clip_models import read_open_clip_format

        return read_open_clip_format(source)
    from featx.encoders.transformers_models import read_transformers_format

    return read_transformers_format(source)
