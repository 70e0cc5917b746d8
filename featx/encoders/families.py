"""The families of image-text models, told by what stands before the colon of `--model`; without torch."""

from __future__ import annotations

OPENAI_FAMILY = "openai"
# prefix of a source: what the rest of it is
FAMILIES = {
    OPENAI_FAMILY: "a checkpoint in OpenAI's layout that computes QuickGELU",
    "open_clip": "ARCHITECTURE@PRETRAINED or ARCHITECTURE@FILE of open_clip",
    "hf-clip": "a folder, or a name on the Hugging Face Hub, of transformers' CLIPModel",
    "siglip": "a folder, or a name on the Hugging Face Hub, of transformers' SiglipModel",
    "align": "a folder, or a name on the Hugging Face Hub, of transformers' AlignModel",
}


def family_of(source: str) -> str:
    """Returns the family that a source names; without a prefix it is OpenAI's.

    Args:
        source: As given to `--model`.
    """
    prefix, colon, _ = source.partition(":")
    return prefix if colon and prefix in FAMILIES else OPENAI_FAMILY


def within_family(source: str) -> str:
    """Returns a source without the prefix of its family."""
    return source.removeprefix(f"{family_of(source)}:")
