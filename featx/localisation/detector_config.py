"""What a detector is made of; without torch, because settings are checked with it before anything is loaded."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DetectorConfig(BaseModel):
    """What a detector is made of, and the grid that it works on; `docs/proposals.md` says what each is."""

    model_config = ConfigDict(extra="forbid")

    grid_step_s: float | None = Field(
        None, gt=0, description="Seconds of a step that the detector sees, such as 0.1333; for long videos."
    )
    grid_steps: int | None = Field(
        None, ge=1, description="Instead of it: every video has so many steps, however long it is."
    )
    width: int = Field(512, ge=1, description="Of the detector.")
    heads: int = Field(4, ge=1, description="Attention heads.")
    levels: int = Field(6, ge=1, description="Of the pyramid; each has half the points of the one before.")
    stem: int = Field(2, ge=0, description="Blocks before the pyramid.")
    window: int = Field(19, ge=1, description="Points that a point attends to, itself in the middle.")
    full_last: bool = Field(
        False, description="On the last level every point attends to all (needs grid_steps)."
    )
    reach: float = Field(
        4.0,
        gt=0,
        description="Steps to the farther end of the longest segments that the first level finds; each level doubles it.",
    )
    normalise: Literal["none", "length", "standard"] = Field(
        "standard",
        description="What is done to features first: nothing, unit length, or mean 0 and deviation 1 on the training videos.",
    )

    @model_validator(mode="after")
    def _fits(self) -> DetectorConfig:
        if self.grid_steps is None and self.grid_step_s is None:
            raise ValueError("give grid_step_s (seconds of a step) or grid_steps (steps of every video)")
        if self.grid_steps is not None and self.grid_step_s is not None:
            raise ValueError("give either grid_step_s or grid_steps")
        if self.width % self.heads:
            raise ValueError(f"heads={self.heads} does not divide width={self.width}")
        if self.window % 2 == 0:
            raise ValueError(f"window={self.window} must be odd: as many steps before as after")
        if self.full_last and self.grid_steps is None:
            raise ValueError("full_last needs grid_steps: a step of a long video cannot see all others")
        return self

    @property
    def strides(self) -> list[int]:
        """Steps from one point of each level to the next."""
        return [2**level for level in range(self.levels)]

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """Of each level, between which distances in steps the farther end of a segment must lie."""
        bounds = [0.0, *(self.reach * stride for stride in self.strides[:-1]), float("inf")]
        return list(pairwise(bounds))
