"""Which of the many proposals of a video are kept: settings, and the steps from all to the best few."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from featx.help_pages import Panel, Panels
from featx.localisation.metrics.suppression import SuppressionRule, soft_nms, vote
from featx.localisation.proposals_file import Proposals
from featx.settings import Settings


class SelectionSettings(Settings):
    """How proposals are chosen; defaults are ActionFormer's for THUMOS14."""

    panels: ClassVar[Panels] = {
        Panel.SELECTION: "keep min_score before_suppression suppression sigma overlap voting",
    }

    before_suppression: int = Field(
        2000,
        ge=1,
        description="Number of proposals of a video, the best by score, that go into non-maximum suppression "
        "(NMS).",
    )
    min_score: float = Field(
        0.001, ge=0, lt=1, description="Drop proposals with a lower score before suppression."
    )
    suppression: Literal["gaussian", "linear", "hard"] = Field(
        "gaussian",
        description="Non-maximum suppression of overlapping proposals: soft-NMS with a Gaussian or linear "
        "penalty, or hard NMS.",
    )
    sigma: float = Field(
        0.5, gt=0, description="Width of the Gaussian penalty of soft-NMS. A smaller value suppresses more."
    )
    overlap: float = Field(
        0.5, gt=0, le=1, description="Temporal IoU from which linear and hard suppression act."
    )
    keep: int = Field(
        200, ge=1, description="Number of proposals of a video that are kept after suppression."
    )
    voting: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Refine the boundaries of a kept proposal by the proposals that overlap it with at least "
        "this temporal IoU. 0: no refinement.",
    )


def select(found: Proposals, settings: SelectionSettings) -> Proposals:
    """Returns the best few of a video's proposals, the best first."""
    order = np.argsort(-found.score, kind="stable")[: settings.before_suppression]
    some = found.choose(order[found.score[order] >= settings.min_score])
    rule = SuppressionRule(
        settings.suppression, settings.sigma, settings.overlap, settings.min_score, settings.keep
    )
    kept, scores = soft_nms(some.start_s, some.end_s, some.score, rule)
    starts, ends = some.start_s[kept], some.end_s[kept]
    if settings.voting:
        starts, ends = vote(starts, ends, some.start_s, some.end_s, some.score, settings.voting)
    return Proposals(starts, ends, scores)
