"""The settings that every task of `featx train` has: data, optimiser, choice of the best step, and how it runs."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from featx.settings import Settings

from .schedule import Schedule


class LearnSettings(Settings):
    """What every task has: data, optimiser, choice of the best step, and how it runs."""

    # what is learned from
    store: Path = Field(description="Feature store, made by featx extract.")
    manifest: Path = Field(description="Manifest with labels and splits (.jsonl).")
    train_split: str = Field("train", description="Split of the manifest to train on.")
    class_split: Path | None = Field(
        None, description="Open-set: class-splits file (.jsonl). Only the seen classes are trained on."
    )
    class_split_name: str | None = Field(
        None,
        description="Open-set: name of the class split in the --class-split file, such as split_0. Needed if "
        "the file has several class splits.",
    )
    seen_list: Path | None = Field(
        None,
        description="Open-set: text file of the classes to train on, one per line. An alternative to "
        "--class-split.",
    )

    # how it is learned
    steps: int = Field(1100, ge=1, description="Number of optimiser steps.")
    batch: int = Field(
        64,
        ge=1,
        description="Batch size: clips (with --task proposals: videos) per step, over all devices together.",
    )
    rate: float = Field(1e-4, gt=0, description="Learning rate of AdamW.")
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
    seed: int = Field(0, ge=0, description="Seed of all random draws.")

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
    device: str = Field(
        "auto", description="Device to compute on: cpu, cuda or cuda:1. auto takes a GPU if there is one."
    )
    devices: int = Field(
        1, ge=1, description="Number of training processes, each on its own GPU (or on a share of the CPU)."
    )
    feature_memory_gib: float | None = Field(
        None, ge=0, description="Largest memory for features, in GiB. By default half of the free memory."
    )
    workers: int = Field(
        2, ge=1, description="Threads that prefetch features from the store when they do not fit in memory."
    )
    log_every: int = Field(20, ge=1, description="Number of steps between two lines of the log.")
    checkpoint_steps: int = Field(
        0,
        ge=0,
        description="Number of steps between two checkpoints. 0: by time only, see --checkpoint-seconds.",
    )
    checkpoint_seconds: float = Field(300.0, gt=0, description="Seconds between two checkpoints.")
    keep_state: bool = Field(
        True,
        description="Keep the last checkpoint of a finished run, so that it can continue with more --steps. "
        "The file is three times the size of the trained parameters. Sweeps keep none unless "
        "this is given.",
    )
    quiet: bool = Field(False, description="Show no progress.")

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


# An interrupted run may go on with other values of these; where the data lie is compared by content instead.
MAY_CHANGE = {
    "store", "manifest", "episodes", "proposals", "keep_adapters", "model", "device", "devices", "feature_memory_gib", "workers", "compile", "recompute",
    "log_every", "checkpoint_steps", "checkpoint_seconds", "keep_state", "quiet",
}  # fmt: skip
