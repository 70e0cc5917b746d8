"""The settings of `featx train`: recipe keys, options and help in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from featx.settings import Settings


class TrainSettings(Settings):
    """Everything that decides a run. Defaults are the paper's settings for HMDB51 (16+X+16, 2 layers)."""

    # what is learned from
    task: Literal["recognition"] = Field("recognition", description="What is learned.")
    store: Path = Field(description="Feature store, made by featx extract.")
    manifest: Path = Field(description="Manifest with labels and splits (.jsonl).")
    train_split: str = Field("train", description="Split of the manifest that is learned from.")
    model: str | None = Field(
        None, description="CLIP whose text encoder is used, when it is not where the store says."
    )

    # what is learned
    prompts: int = Field(
        16, ge=0, le=37, description="k: prompt vectors before and again after the class name; 0: none."
    )
    layout: Literal["sequence", "positional"] = Field(
        "sequence", description="Prompt layout: the paper's, or that of the authors' released code."
    )
    suffix: bool = Field(
        True, description="Prompts after the class name too (k+X+k); without, k+X+0, a step is much cheaper."
    )
    layers: int = Field(2, ge=0, le=4, description="Layers of the temporal Transformer; 0: none.")
    heads: int = Field(8, ge=1, description="Attention heads of the temporal Transformer.")
    template: str | None = Field(
        None,
        description="Text around a class name, such as 'a video of a {}'; without prompts that one is the default.",
    )

    # clips
    clip_frames: int = Field(16, ge=1, description="T: rows of a clip.")
    strides: list[int] = Field(
        [1, 2, 3, 4], description="Strides that a training clip may have, such as 1,2,3,4."
    )
    stride_weights: list[float] = Field(
        [1, 1, 3, 1], description="How often each stride is drawn, such as 1,1,3,1."
    )

    # how it is learned
    steps: int = Field(1100, ge=1, description="Optimiser steps.")
    batch: int = Field(64, ge=1, description="Clips in a step.")
    rate: float = Field(1e-4, gt=0, description="Learning rate of AdamW.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW.")
    class_limit: int = Field(
        400, ge=2, description="Above this many classes, a step sees the batch's and random others."
    )
    seed: int = Field(0, ge=0, description="Seed of everything random.")
    device: str = Field("auto", description="cpu, cuda, cuda:1; auto takes a GPU if there is one.")
    log_every: int = Field(20, ge=1, description="Steps between two lines of the log.")
