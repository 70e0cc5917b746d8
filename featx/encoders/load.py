"""From what a user writes behind `--model` to the model."""

from __future__ import annotations

from featx.clip.text_format import TextFormat
from featx.encoders.model import ImageTextModel
from featx.encoders.openai import load_openai
from featx.encoders.openai_text import openai_format


def load_model(source: str, is_openai: bool = False) -> ImageTextModel:
    """Loads a frozen image-text model.

    Args:
        source: `tiny`, one of OpenAI's names, or the path of a checkpoint.
        is_openai: Whether it is known that a checkpoint in OpenAI's layout computes QuickGELU.

    Raises:
        FeatxError: If it is not there, or is not such a model.
    """
    return load_openai(source, is_openai)


def load_text_format(source: str) -> TextFormat:
    """Returns how the text encoder of a model takes texts, without its weights.

    Args:
        source: As `load_model` takes it.
    """
    return openai_format()
