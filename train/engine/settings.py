"""The settings that every task of `featx train` has: data, optimiser, choice of the best step, and how it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from featx.settings import MAY_CHANGE, Mark, Settings

from .schedule import Schedule

SAME_IN_ALL_CELLS = Mark("no grid of a sweep may change it")
OF_ONE_RUN = Mark("the runs of one cell of a sweep differ in it")


class LearnSettings(Settings):
    """What every task has: data, optimiser, choice of the best step, and how it runs."""

    former_names: ClassVar = {"batch": "batch_size", "rate": "learning_rate"}

    # what is learned from
    store: Annotated[Path, MAY_CHANGE, SAME_IN_ALL_CELLS] = Field(
        description="Feature store, made by featx extract."
    )
    manifest: Annotated[Path, MAY_CHANGE, SAME_IN_ALL_CELLS] = Field(
        description="Manifest with labels and splits (.jsonl)."
    )
    train_split: Annotated[str, SAME_IN_ALL_CELLS] = Field(
        "train", description="Split of the manifest that is learned from."
    )
    class_split: Annotated[Path | None, SAME_IN_ALL_CELLS, OF_ONE_RUN] = Field(
        None, description="Open-set: class-splits file (.jsonl); only its seen classes are learned."
    )
    class_split_name: Annotated[str | None, SAME_IN_ALL_CELLS, OF_ONE_RUN] = Field(
        None, description="Which of its splits, such as split_0."
    )
    seen_list: Annotated[Path | None, SAME_IN_ALL_CELLS] = Field(
        None, description="Instead of it: text file of the classes that are learned, one a line."
    )

    # how it is learned
    steps: int = Field(1100, ge=1, description="Optimiser steps.")
    batch_size: int = Field(64, ge=1, description="Clips in a step, over all devices.")
    learning_rate: float = Field(1e-4, gt=0, description="Learning rate of AdamW.")
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
    seed: Annotated[int, SAME_IN_ALL_CELLS, OF_ONE_RUN] = Field(
        0, ge=0, description="Seed of everything random."
    )

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
    device: Annotated[str, MAY_CHANGE, SAME_IN_ALL_CELLS] = Field(
        "auto", description="cpu, cuda, cuda:1; auto takes a GPU if there is one."
    )
    devices: Annotated[int, MAY_CHANGE, SAME_IN_ALL_CELLS] = Field(
        1, ge=1, description="Processes, each with a GPU of its own (or a share of the CPU)."
    )
    feature_memory_gib: Annotated[float | None, MAY_CHANGE] = Field(
        None, ge=0, description="Memory that features may take; without it half of what is free."
    )
    workers: Annotated[int, MAY_CHANGE] = Field(
        2, ge=1, description="Threads that read features ahead when they do not fit in memory."
    )
    log_every: Annotated[int, MAY_CHANGE] = Field(20, ge=1, description="Steps between two lines of the log.")
    checkpoint_steps: Annotated[int, MAY_CHANGE] = Field(
        0, ge=0, description="Steps between two checkpoints; 0: by time only."
    )
    checkpoint_seconds: Annotated[float, MAY_CHANGE] = Field(
        300.0, gt=0, description="Seconds between two checkpoints."
    )
    keep_state: Annotated[bool, MAY_CHANGE] = Field(
        True,
        description="Keep the last step's state, so that a finished run can be given more steps: three times the size of "
        "what is learned. Not in sweeps, where it has to be asked for.",
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
