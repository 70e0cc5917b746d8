"""The settings that every task of `featx train` has: data, optimiser, choice of the best step, and how it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from featx.devices import DEVICES
from featx.help_pages import Panel, Panels
from featx.settings import MAY_CHANGE, Mark, Settings

from .schedule import Schedule

SAME_IN_ALL_CELLS = Mark("no grid of a sweep may change it")
OF_ONE_RUN = Mark("the runs of one cell of a sweep differ in it")


class LearnSettings(Settings):
    """What every task has: data, optimiser, choice of the best step, and how it runs."""

    panels: ClassVar[Panels] = {
        Panel.DATA: "store manifest train_split",
        Panel.TRAINING: "steps batch_size learning_rate schedule warmup weight_decay clip_norm ema seed validation validate_every patience",
        Panel.SPEED: "device devices feature_memory_gib workers",
        Panel.CHECKPOINTS: "checkpoint_steps checkpoint_seconds keep_state log_every quiet",
        Panel.CLASSES: "class_split class_split_name seen_list",
    }

    former_names: ClassVar = {"batch": "batch_size", "rate": "learning_rate"}

    # what is learned from
    store: Annotated[Path, MAY_CHANGE, SAME_IN_ALL_CELLS] = Field(
        description="Feature store, made by featx extract. Required, here or in the recipe."
    )
    manifest: Annotated[Path, MAY_CHANGE, SAME_IN_ALL_CELLS] = Field(
        description="Manifest with labels and splits (.jsonl). Required, here or in the recipe."
    )
    train_split: Annotated[str, SAME_IN_ALL_CELLS] = Field(
        "train", description="Split of the manifest to train on."
    )
    class_split: Annotated[Path | None, SAME_IN_ALL_CELLS, OF_ONE_RUN] = Field(
        None, description="Open-set: class-splits file (.jsonl). Only the seen classes are trained on."
    )
    class_split_name: Annotated[str | None, SAME_IN_ALL_CELLS, OF_ONE_RUN] = Field(
        None,
        description="Open-set: name of the class split in the --class-split file, such as split_0. Needed if "
        "the file has several class splits.",
    )
    seen_list: Annotated[Path | None, SAME_IN_ALL_CELLS] = Field(
        None,
        description="Open-set: text file of the classes to train on, one per line. An alternative to "
        "--class-split.",
    )

    # how it is learned
    steps: int = Field(1100, ge=1, description="Number of optimiser steps.")
    batch_size: int = Field(
        64,
        ge=1,
        description="Batch size: clips (with --task proposals: videos) per step, over all devices together.",
    )
    learning_rate: float = Field(1e-4, gt=0, description="Learning rate of AdamW.")
    schedule: Schedule = Field(
        "constant",
        description="Learning rate after the warm-up. constant: unchanged. cosine: falls to 0 at the last "
        "step. released: as in the authors' code, a cosine over 200,000 steps, however many are "
        "done (0.855 of the rate at step 50,000).",
    )
    warmup: int = Field(0, ge=0, description="Number of steps in which the learning rate rises from 0.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW.")
    clip_norm: float = Field(0.0, ge=0, description="Clip the gradient to this norm. 0: do not clip.")
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay of the exponential moving average of the parameters, such as 0.999. If used, the "
        "average is what is validated and saved. 0: no average.",
    )
    seed: Annotated[int, SAME_IN_ALL_CELLS, OF_ONE_RUN] = Field(
        0, ge=0, description="Seed of all random draws."
    )

    # which step's adapter is kept
    validation: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Fraction of the training videos that is held out to choose the best step: of each class "
        "(recognition), or of all videos (other tasks). 0: no validation, the last step is saved.",
    )
    validate_every: int = Field(100, ge=1, description="Number of steps between two validations.")
    patience: int = Field(
        0,
        ge=0,
        description="Stop early after this many validations without a better score. 0: never stop early.",
    )

    # how it runs: nothing below changes what is learned, but for rounding
    device: Annotated[str, DEVICES, MAY_CHANGE, SAME_IN_ALL_CELLS] = Field(
        "auto", description="Device to compute on: cpu, cuda or cuda:1. auto takes a GPU if there is one."
    )
    devices: Annotated[int, MAY_CHANGE, SAME_IN_ALL_CELLS] = Field(
        1, ge=1, description="Number of training processes, each on its own GPU (or on a share of the CPU)."
    )
    feature_memory_gib: Annotated[float | None, MAY_CHANGE] = Field(
        None, ge=0, description="Largest memory for features, in GiB. By default half of the free memory."
    )
    workers: Annotated[int, MAY_CHANGE] = Field(
        2, ge=1, description="Threads that prefetch features from the store when they do not fit in memory."
    )
    log_every: Annotated[int, MAY_CHANGE] = Field(
        20, ge=1, description="Number of steps between two lines of the log."
    )
    checkpoint_steps: Annotated[int, MAY_CHANGE] = Field(
        0,
        ge=0,
        description="Number of steps between two checkpoints. 0: by time only, see --checkpoint-seconds.",
    )
    checkpoint_seconds: Annotated[float, MAY_CHANGE] = Field(
        300.0, gt=0, description="Seconds between two checkpoints."
    )
    keep_state: Annotated[bool, MAY_CHANGE] = Field(
        True,
        description="Keep the last checkpoint of a finished run, so that it can continue with more --steps. "
        "The file is three times the size of the trained parameters. Sweeps keep none unless "
        "this is given.",
    )
    quiet: Annotated[bool, MAY_CHANGE] = Field(False, description="Show no progress.")

    def lasting(self) -> dict[str, Any]:
        """Returns what must be the same for a run to be the same, as JSON."""
        return self.model_dump(mode="json", exclude=self.marked(MAY_CHANGE))

    @model_validator(mode="after")
    def _schedule_fits(self) -> LearnSettings:
        if self.patience and not self.validation:
            raise ValueError(
                "patience needs validation, such as 0.1: without it nothing says which step is better"
            )
        if self.class_split and self.seen_list:
            raise ValueError("class_split says which classes are seen; leave out seen_list")
        if self.class_split_name and not self.class_split:
            raise ValueError("class_split_name needs class_split, the file that holds the splits")
        if self.warmup >= self.steps:
            raise ValueError(f"warmup={self.warmup} must be less than steps={self.steps}")
        return self
