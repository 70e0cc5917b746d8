"""Class texts in several hand-written templates, averaged as CLIP's authors do (their Prompt_Engineering notebook)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from featx.clip.text_format import TextFormat
from featx.encoders.text import TextTower, plan_texts
from featx.errors import FeatxError

PLACE = "{}"


def check_templates(templates: list[str], source: str) -> None:
    """Refuses templates without a place for the class name.

    Raises:
        FeatxError: Naming the template.
    """
    for template in templates:
        if PLACE not in template:
            raise FeatxError(
                f"{source} '{template}': has no {PLACE} where the class name goes, as in 'a video of a {PLACE}'"
            )


@torch.no_grad()
def encode_templates(tower: TextTower, templates: list[str], texts: list[str]) -> Tensor:
    """Returns (C, D) features of unit length: each template's normalised, their mean normalised again."""
    total: Tensor | float = 0.0
    for template in templates:
        plan = tower.plan([template.replace(PLACE, text) for text in texts])
        total = total + normalize(tower.encode(plan).float(), dim=-1)  # (C, D)
    assert isinstance(total, Tensor)
    return normalize(total / len(templates), dim=-1)


def count_truncated(form: TextFormat, templates: list[str], texts: list[str]) -> int:
    """Returns how many of the texts in templates are too long for the text encoder and are cut."""
    return sum(
        len(plan_texts(form, [one.replace(PLACE, text) for text in texts]).truncated) for one in templates
    )
