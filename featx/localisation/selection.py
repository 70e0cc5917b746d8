"""Which of the many proposals of a video are kept: settings, and the steps from all to the best few."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from featx.localisation.metrics.suppression import SuppressionRule, soft_nms, vote
from featx.localisation.proposals_file import Proposals
from featx.settings import Settings


class SelectionSettings(Settings):
    """How proposals are chosen; defaults are ActionFormer's for THUMOS14."""

    before_suppression: int = Field(
        2000, ge=1, description="Best proposals of a video that go into suppression."
    )
    min_score: float = Field(0.001, ge=0, lt=1, description="Proposals with a lower score are dropped.")
    suppression: Literal["gaussian", "linear", "hard"] = Field(
        "gaussian", description="How a proposal lowers those that it overlaps: soft-NMS, or hard NMS."
    )
    sigma: float = Field(0.5, gt=0, description="Of Gaussian soft-NMS; small is strict.")
    overlap: float = Field(
        0.5, gt=0, le=1, description="IoU from which linear and hard suppression lower others."
    )
    keep: int = Field(200, ge=1, description="Proposals of a video that are kept.")
    voting: float = Field(
        0.0,
        ge=0,
        le=1,
        description="IoU from which others vote on where a kept proposal begins and ends; 0: none do.",
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
