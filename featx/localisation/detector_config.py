"""What a detector is made of; without torch, because settings are checked with it before anything is loaded."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DetectorConfig(BaseModel):
    """What a detector is made of, and the grid that it works on; `docs/proposals.md` says what each is."""

    model_config = ConfigDict(extra="forbid")

    grid_step_s: float | None = Field(
        None,
        gt=0,
        description="Length of a step of the detector's time grid in seconds, such as 0.1333. For long "
        "videos. An alternative to --grid-steps.",
    )
    grid_steps: int | None = Field(
        None,
        ge=1,
        description="Number of steps of the detector's time grid, the same for every video, however long. An "
        "alternative to --grid-step-s.",
    )
    width: int = Field(512, ge=1, description="Feature width of the detector's layers.")
    heads: int = Field(4, ge=1, description="Number of attention heads of the detector.")
    levels: int = Field(
        6,
        ge=1,
        description="Number of levels of the detector's feature pyramid. Each has half the points of the "
        "level before.",
    )
    stem: int = Field(2, ge=0, description="Number of attention blocks before the detector's pyramid.")
    window: int = Field(
        19, ge=1, description="Size of the detector's local attention window, in points of the level."
    )
    full_last: bool = Field(
        False,
        description="On the last level of the pyramid, let every point attend to all points. Needs "
        "--grid-steps.",
    )
    reach: float = Field(
        4.0,
        gt=0,
        description="Largest distance, in steps, from a point of the first level to the farther end of its "
        "segment. It doubles with each level.",
    )
    normalise: Literal["none", "length", "standard"] = Field(
        "standard",
        description="Normalisation of the features before the detector. none: as they are. length: to unit "
        "length. standard: to mean 0 and standard deviation 1 over the training videos.",
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
