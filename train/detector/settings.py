"""The settings of `featx train --task proposals`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from featx.localisation.detector_config import DetectorConfig
from featx.localisation.selection import SelectionSettings

from ..engine.settings import LearnSettings


class ProposalSettings(DetectorConfig, LearnSettings, SelectionSettings):
    """Everything that decides a detector. Defaults are for THUMOS14, after ActionFormer's."""

    task: Literal["proposals"] = Field(
        "proposals", description="To find when something happens, whatever it is."
    )

    # how it is learned
    steps: int = Field(3500, ge=1, description="Optimiser steps.")
    batch_size: int = Field(2, ge=1, description="Videos in a step, over all devices.")
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
    def _steps_fit(self) -> ProposalSettings:
        if self.batch_size < self.devices:
            raise ValueError(f"batch_size={self.batch_size} is too small for devices={self.devices}")
        if self.grid_steps is not None and self.grid_steps > self.longest:
            raise ValueError(f"grid_steps={self.grid_steps} is more than longest={self.longest}")
        return self


def config_of(settings: ProposalSettings) -> DetectorConfig:
    """Returns what the detector is made of."""
    return DetectorConfig(**{name: getattr(settings, name) for name in DetectorConfig.model_fields})
