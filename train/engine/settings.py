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
    train_split: str = Field("train", description="Split of the manifest that is learned from.")
    class_split: Path | None = Field(
        None, description="Open-set: class-splits file (.jsonl); only its seen classes are learned."
    )
    class_split_name: str | None = Field(None, description="Which of its splits, such as split_0.")
    seen_list: Path | None = Field(
        None, description="Instead of it: text file of the classes that are learned, one a line."
    )

    # how it is learned
    steps: int = Field(1100, ge=1, description="Optimiser steps.")
    batch: int = Field(64, ge=1, description="Clips in a step, over all devices.")
    rate: float = Field(1e-4, gt=0, description="Learning rate of AdamW.")
    schedule: Schedule = Field(
        "constant",
        description="The learning rate after warm-up: constant, down to 0 along a cosine, or that of the authors' released "
        "code: a cosine of 200,000 steps, however many there are (0.855 of the rate at step 50,000).",
    )
    warmup: int = Field(0, ge=0, description="Steps in which the learning rate rises from 0.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW.")
    clip_norm: float = Field(0.0, ge=0, description="Largest norm of the gradient; 0: not clipped.")
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay of the running mean of what is learned, such as 0.999; 0: none is kept.",
    )
    seed: int = Field(0, ge=0, description="Seed of everything random.")

    # which step's adapter is kept
    validation: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of each class's training videos (of all, where segments or sentences are learned) kept back to choose the "
        "best step; 0: last.",
    )
    validate_every: int = Field(100, ge=1, description="Steps between two validations.")
    patience: int = Field(
        0,
        ge=0,
        description="Validations without a better one after which training ends; 0: it never ends early.",
    )

    # how it runs: nothing below changes what is learned, but for rounding
    device: str = Field("auto", description="cpu, cuda, cuda:1; auto takes a GPU if there is one.")
    devices: int = Field(
        1, ge=1, description="Processes, each with a GPU of its own (or a share of the CPU)."
    )
    feature_memory_gib: float | None = Field(
        None, ge=0, description="Memory that features may take; without it half of what is free."
    )
    workers: int = Field(
        2, ge=1, description="Threads that read features ahead when they do not fit in memory."
    )
    log_every: int = Field(20, ge=1, description="Steps between two lines of the log.")
    checkpoint_steps: int = Field(0, ge=0, description="Steps between two checkpoints; 0: by time only.")
    checkpoint_seconds: float = Field(300.0, gt=0, description="Seconds between two checkpoints.")
    keep_state: bool = Field(
        True,
        description="Keep the last step's state, so that a finished run can be given more steps: three times the size of "
        "what is learned. Not in sweeps, where it has to be asked for.",
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
