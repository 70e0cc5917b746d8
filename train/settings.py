"""The settings of `featx train`: recipe keys, options and help in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from featx.settings import Settings
from featx.train.schedule import Schedule

RETRIEVAL_PROMPTS = 4  # paper: 4+X+4, since sentences need the room that 16+X+16 takes


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


class TrainSettings(LearnSettings):
    """Everything that decides an adapter. Defaults are the paper's settings for HMDB51 (16+X+16, 2 layers)."""

    task: Literal["recognition", "localisation", "retrieval"] = Field(
        "recognition",
        description="What is learned: to name videos, to name segments of videos, to match sentences, or (proposals) to find "
        "segments.",
    )
    model: str | None = Field(
        None, description="CLIP whose text encoder is used, when it is not where the store says."
    )

    # what is learned
    prompts: int = Field(
        16,
        ge=0,
        le=37,
        description="k: prompt vectors before and again after the class name or sentence; 0: none. Retrieval: 4 if not given.",
    )
    layout: Literal["sequence", "positional"] = Field(
        "sequence", description="Prompt layout: the paper's, or that of the authors' released code."
    )
    suffix: bool = Field(
        True, description="Prompts after the class name too (k+X+k); without, k+X+0, a step is much cheaper."
    )
    layers: int = Field(2, ge=0, le=4, description="Layers of the temporal Transformer; 0: none.")
    positions: bool | None = Field(
        None,
        description="Learned positions of a clip's frames in time; if not said, only with layers: without either a video "
        "is the plain mean of its frames.",
    )
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

    # how it is compared
    accumulate: int = Field(
        1,
        ge=1,
        description="Parts that a step's clips go through in, when memory is short; the result is the same.",
    )
    loss: Literal["video-to-text", "symmetric"] = Field(
        "video-to-text",
        description="Cross-entropy over the texts, or the mean of that and the one over the videos.",
    )
    class_limit: int = Field(
        400, ge=2, description="Above this many classes, a step sees the batch's and random others."
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32",
        description="Of the frozen text encoder's matrix products; what is learned stays fp32. bf16 is faster on a GPU "
        "and on a CPU with bf16 instructions.",
    )
    compile: bool = Field(
        False, description="Let torch.compile fuse the text encoder; costs a minute at the start."
    )
    recompute: bool = Field(
        False,
        description="Compute the text encoder's blocks again in the backward pass instead of keeping them: less "
        "memory, about a third more work. Done by itself where half of the free memory would not do.",
    )

    # localisation
    proposals: Path | None = Field(
        None,
        description="Localisation: also learn from these proposals (of featx propose on the training split): of the class "
        "of the segment that they overlap, or background.",
    )
    match_tiou: float = Field(
        0.5, gt=0, le=1, description="Overlap from which a proposal is of a segment's class."
    )
    background_tiou: float = Field(
        0.1, ge=0, lt=1, description="Overlap with any segment up to which a proposal is background."
    )
    background_share: float = Field(
        0.25, ge=0, lt=1, description="Share of what is learned from that is background."
    )
    background: str | None = Field(
        None,
        description="Text of the background, a class of its own that no detection is of; with --proposals 'background' is "
        "the default.",
    )

    # few-shot episodes
    episodes: Path | None = Field(
        None,
        description="Few-shot: episodes file (.jsonl); each is learned and scored on its own, splits do not matter.",
    )
    episodes_together: int = Field(
        0, ge=0, description="Episodes whose steps are done together; 0: as many as pays (docs/training.md)."
    )
    keep_adapters: bool = Field(
        True, description="Keep what was learned in each episode (RUN/episodes/), not its score only."
    )

    @model_validator(mode="after")
    def _as_retrieval_needs(self) -> TrainSettings:
        if self.task != "retrieval":
            return self
        for name in ("class_split", "seen_list", "class_limit"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is about classes; leave it out, or task=retrieval")
        if "prompts" not in self.model_fields_set:
            self.prompts = RETRIEVAL_PROMPTS
        return self

    @model_validator(mode="after")
    def _positions_with_layers(self) -> TrainSettings:
        if self.positions is None:
            self.positions = self.layers > 0
        return self

    @model_validator(mode="after")
    def _fit_together(self) -> TrainSettings:
        if len(self.strides) != len(self.stride_weights):
            raise ValueError("strides and stride_weights must have the same length")
        if self.episodes and (self.class_split or self.seen_list):
            raise ValueError("episodes have classes of their own; leave out class_split and seen_list")
        if self.episodes and self.task != "recognition":
            raise ValueError(f"episodes are for recognition; leave them out, or task={self.task}")
        if self.task != "localisation" and (self.proposals or self.background):
            raise ValueError(
                "proposals and background are for localisation; leave them out, or task=localisation"
            )
        if self.background_tiou >= self.match_tiou:
            raise ValueError(
                f"background_tiou={self.background_tiou} must be less than match_tiou={self.match_tiou}"
            )
        if self.episodes and self.devices > 1:
            raise ValueError("episodes are learned by one process; leave out devices")
        if self.batch < self.accumulate * self.devices:
            raise ValueError(
                f"batch={self.batch} is too small for accumulate={self.accumulate}, devices={self.devices}"
            )
        return self


# An interrupted run may go on with other values of these; where the data lie is compared by content instead.
MAY_CHANGE = {
    "store", "manifest", "episodes", "proposals", "keep_adapters", "model", "device", "devices", "feature_memory_gib", "workers", "compile", "recompute",
    "log_every", "checkpoint_steps", "checkpoint_seconds", "keep_state", "quiet",
}  # fmt: skip
