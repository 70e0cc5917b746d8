"""The settings of `featx train --task proposals`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from featx.help_pages import Panel, Panels
from featx.localisation.detector_config import DetectorConfig
from featx.localisation.selection import SelectionSettings

from ..engine.settings import LearnSettings


class ProposalSettings(DetectorConfig, LearnSettings, SelectionSettings):
    """Everything that decides a detector. Defaults are for THUMOS14, after ActionFormer's."""

    panels: ClassVar[Panels] = {
        Panel.LEARNED: "task",
        Panel.DETECTOR: "grid_step_s grid_steps width heads levels stem window full_last reach normalise longest centre_radius label_smoothing loss_weight drop_path",
    }

    task: Literal["proposals"] = Field("proposals", description="Train a class-agnostic proposal detector.")

    # how it is learned
    steps: int = Field(3500, ge=1, description="Number of optimiser steps.")
    batch_size: int = Field(2, ge=1, description="Batch size: videos per step, over all devices together.")
    schedule: Literal["constant", "cosine"] = Field(
        "cosine",
        description="Learning rate after the warm-up. constant: unchanged. cosine: falls to 0 at the last "
        "step.",
    )
    warmup: int = Field(500, ge=0, description="Number of steps in which the learning rate rises from 0.")
    weight_decay: float = Field(0.05, ge=0, description="Weight decay of AdamW.")
    clip_norm: float = Field(1.0, ge=0, description="Clip the gradient to this norm. 0: do not clip.")
    ema: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="Decay of the exponential moving average of the parameters, such as 0.999. If used, the "
        "average is what is validated and saved. 0: no average.",
    )
    longest: int = Field(
        2304,
        ge=1,
        description="Largest number of steps of a training video. Of a longer video a random part is taken.",
    )
    centre_radius: float = Field(
        1.5,
        gt=0,
        description="A point is trained on a segment if it is at most this many strides of its level away "
        "from the segment's middle.",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Label smoothing of the detector's scores. 0: none."
    )
    loss_weight: float = Field(
        1.0, ge=0, description="Weight of the loss of segment boundaries relative to the loss of scores."
    )
    drop_path: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Stochastic depth: probability that a residual branch is left out in training.",
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
