"""The settings of `featx train --task proposals`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError, model_validator

from featx.localisation.detector_config import DetectorConfig
from featx.localisation.selection import SelectionSettings

from ..engine.settings import LearnSettings


class ProposalSettings(LearnSettings, SelectionSettings):
    """Everything that decides a detector. Defaults are for THUMOS14, after ActionFormer's."""

    task: Literal["proposals"] = Field(
        "proposals", description="To find when something happens, whatever it is."
    )

    # what is learned
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

    # how it is learned
    steps: int = Field(3500, ge=1, description="Optimiser steps.")
    batch: int = Field(2, ge=1, description="Videos in a step, over all devices.")
    schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="The learning rate after warm-up: constant, or down to 0 along a cosine."
    )
    warmup: int = Field(500, ge=0, description="Steps in which the learning rate rises from 0.")
    weight_decay: float = Field(0.05, ge=0, description="Weight decay of AdamW.")
    clip_norm: float = Field(1.0, ge=0, description="Largest norm of the gradient; 0: not clipped.")
    ema: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="Decay of the running mean of what is learned, such as 0.999; 0: none is kept.",
    )
    longest: int = Field(
        2304, ge=1, description="Steps of a training video; of a longer one a random part is taken."
    )
    centre_radius: float = Field(
        1.5, gt=0, description="Points that learn a segment are at most so many strides from its middle."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="How far the scores that are aimed at stay from 0 and 1."
    )
    loss_weight: float = Field(
        1.0, ge=0, description="Weight of the loss of the distances beside that of the scores."
    )
    drop_path: float = Field(
        0.1, ge=0, lt=1, description="How often a video leaves out a block's branch (stochastic depth)."
    )

    @model_validator(mode="after")
    def _detector_fits(self) -> ProposalSettings:
        if self.grid_steps is None and self.grid_step_s is None:
            raise ValueError("give grid_step_s (seconds of a step) or grid_steps (steps of every video)")
        try:
            config_of(self)
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error
        if self.batch < self.devices:
            raise ValueError(f"batch={self.batch} is too small for devices={self.devices}")
        if self.grid_steps is not None and self.grid_steps > self.longest:
            raise ValueError(f"grid_steps={self.grid_steps} is more than longest={self.longest}")
        return self


def config_of(settings: ProposalSettings) -> DetectorConfig:
    """Returns what the detector is made of."""
    return DetectorConfig(**{name: getattr(settings, name) for name in DetectorConfig.model_fields})
