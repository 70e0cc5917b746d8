"""The settings of the evaluation commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from featx.features.clips import CLIPS, ClipSampling
from featx.localisation.proposals_file import PROPOSAL_WEIGHT, TOP_CLASSES
from featx.settings import MAY_CHANGE, Mark, Settings

ONLY_TO_LEARN = Mark("zero-shot, which learns nothing, never looks at it")


class ScoreSettings(Settings):
    """How videos are scored, whatever the command."""

    former_names: ClassVar = {"batch": "batch_size"}

    clips: Annotated[int, MAY_CHANGE] = Field(
        CLIPS, ge=1, description="Clips of a video, evenly placed, whose scores are averaged."
    )
    model: Annotated[str | None, MAY_CHANGE] = Field(
        None, description="CLIP whose text encoder is used, when it is not where the store says."
    )
    batch_size: Annotated[int, MAY_CHANGE] = Field(64, ge=1, description="Videos that are scored at once.")
    device: Annotated[str, MAY_CHANGE] = Field(
        "auto", description="cpu, cuda, cuda:1; auto takes a GPU if there is one."
    )
    precision: Annotated[Literal["fp32", "bf16"], MAY_CHANGE] = Field(
        "fp32",
        description="Of the matrix products of text encoder and temporal Transformer; bf16 takes about half the time where "
        "the processor has it, and is said beside the numbers.",
    )


class ClassSettings(Settings):
    """Which classes compete."""

    classes: Literal["all", "seen", "unseen"] = Field(
        "all",
        description="Classes that compete: unseen ones by their names alone, or seen and unseen together (all). Seen are "
        "those that the run has learned, unless a split is given.",
    )
    class_split: Path | None = Field(None, description="Class-splits file: which classes are seen (.jsonl).")
    class_split_name: str | None = Field(None, description="Which of its splits, such as split_0.")
    seen_list: Path | None = Field(
        None, description="Instead of it: text file of the seen classes, one a line,"
    )
    unseen_list: Path | None = Field(
        None, description="and one of the unseen classes; the other one may be left out."
    )


class SplitSettings(ScoreSettings):
    """What runs are scored on; whatever is not given is what the run was trained with."""

    store: Path | None = Field(
        None, description="Feature store, when it is not the one that the run was trained on."
    )
    manifest: Path | None = Field(
        None, description="Manifest with labels and splits, when it is not the one of the training."
    )
    split: str = Field("test", description="Split of the manifest that is scored.")


class EvalSettings(SplitSettings, ClassSettings):
    """How recognition is scored."""


class RetrieveSettings(SplitSettings):
    """How sentences and videos are ranked."""

    ties: Literal["average", "optimistic", "pessimistic"] = Field(
        "average", description="Retrieval: whether equal scores of others count half, not at all, or in full."
    )
    normalise: list[Literal["dual-softmax", "query-bank"]] = Field(
        [],
        description="Retrieval: further rows whose scores look at all queries, such as dual-softmax,query-bank.",
    )
    bank_split: str = Field("train", description="Retrieval: split that the query bank is drawn of.")


class LocaliseSettings(EvalSettings):
    """How the detections of localisation runs are made and scored."""

    proposals: str = Field(
        description="Localisation: file of proposals (featx propose), or ground-truth for the annotated segments."
    )
    proposal_weight: float = Field(
        PROPOSAL_WEIGHT,
        ge=0,
        le=1,
        description="w: a detection's score is proposal score ** w * class probability ** (1 - w).",
    )
    top_classes: int = Field(TOP_CLASSES, ge=1, description="Classes that each proposal is said to show.")
    ap: Literal["official", "dedup", "thumos-matlab"] = Field(
        "official",
        description="Rule of average precision: ActivityNet's program, the same without instances that repeat or have no "
        "length, or THUMOS14's kit.",
    )
    tiou: list[float] = Field(
        [],
        description="Overlaps, such as 0.3,0.4,0.5,0.6,0.7; else .5:.05:.95 for ActivityNet and .3:.1:.7 for others.",
    )
    per_class: bool = Field(False, description="Also print the average precision of each class.")
    errors: bool = Field(False, description="Also print what the wrong detections are (after DETAD).")
    save_detections: Path | None = Field(
        None, description="Write the detections into this file, as ActivityNet's JSON (one RUN only)."
    )
    timeline: list[str] = Field(
        [],
        description="Draw these videos (ids, such as a.mp4,b.mp4) into RUN/timelines/: what is annotated, proposed and "
        "detected, class scores over time, frames.",
    )
    timeline_format: Literal["png", "svg"] = Field("png", description="Of the timelines.")


class BaselineSettings(ScoreSettings):
    """What a baseline is made of and scored on."""

    task: Annotated[Literal["recognition", "localisation", "retrieval"], MAY_CHANGE] = Field(
        "recognition",
        description="What is scored: to name videos, or (zero-shot) to name proposals or to match sentences.",
    )
    proposals: Annotated[str | None, MAY_CHANGE] = Field(
        None,
        description="Localisation: file of proposals (featx propose), or ground-truth for the annotated segments.",
    )
    store: Annotated[Path, MAY_CHANGE] = Field(description="Feature store, made by featx extract.")
    manifest: Annotated[Path, MAY_CHANGE] = Field(description="Manifest with labels and splits (.jsonl).")
    train_split: Annotated[str, ONLY_TO_LEARN] = Field(
        "train", description="Split that is learned from (zero-shot learns nothing)."
    )
    split: Annotated[str, MAY_CHANGE] = Field("test", description="Split that is scored.")
    episodes: Annotated[Path | None, ONLY_TO_LEARN] = Field(
        None,
        description="Few-shot: episodes file (.jsonl), each learned and scored on its own; splits do not matter.",
    )
    template: list[str] = Field([], description="Text around a class name.")
    template_file: Path | None = Field(
        None, description="Zero-shot: text file of templates, one a line, instead of --template."
    )
    c: Annotated[float, ONLY_TO_LEARN] = Field(
        0.316,
        gt=0,
        description="Linear probe: inverse strength of L2 regularisation, the one of CLIP's own example.",
    )
    clip_frames: int = Field(16, ge=1, description="Zero-shot: rows of a clip.")
    strides: list[int] = Field([1, 2, 3, 4], description="Zero-shot: strides of a clip, as in featx train.")
    stride_weights: list[float] = Field(
        [1, 1, 3, 1], description="Zero-shot: how often each is drawn in training; the most frequent is used."
    )

    @property
    def clip_sampling(self) -> ClipSampling:
        """The clips of each video."""
        return ClipSampling(self.clip_frames, self.strides, self.stride_weights, self.clips)


class PredictSettings(ScoreSettings):
    """How one's own videos are classified."""

    adapter: Path = Field(description="Run of featx train or featx baseline, or an adapter file.")
    store: Path | None = Field(
        None,
        description="Take the videos of this feature store instead of files; all of them, or those of --ids.",
    )
    classes_file: Path | None = Field(
        None,
        description="Text file of classes, one a line, instead of those that were learned (needs prompts or a template).",
    )
    detector: Path | None = Field(
        None,
        description="Localisation: run of featx train --task proposals; says what happens when, instead of classes of whole "
        "videos.",
    )
    top: int = Field(5, ge=1, description="How many classes (or segments) are said of each video.")
    window: float | None = Field(
        None, gt=0, description="Seconds of a sliding window; without it videos are whole."
    )
    hop: float | None = Field(
        None, gt=0, description="Seconds from one window to the next; half a window if not given."
    )


class ProposeSettings(Settings):
    """What proposals are made of; whatever is not given is what the detector was trained with."""

    store: Path | None = Field(
        None, description="Feature store, when it is not the one that the run was trained on."
    )
    manifest: Path | None = Field(
        None, description="Manifest with the videos, when it is not the one of the training."
    )
    split: str = Field("test", description="Split of the manifest whose videos are looked at.")
    watershed: bool = Field(
        False, description="Instead of a RUN: group moments that look unlike the rest; needs no training."
    )
    before_suppression: int | None = Field(
        None, ge=1, description="Best proposals of a video that go into suppression."
    )
    min_score: float | None = Field(None, ge=0, lt=1, description="Proposals with a lower score are dropped.")
    suppression: Literal["gaussian", "linear", "hard"] | None = Field(
        None, description="How a proposal lowers those that it overlaps."
    )
    sigma: float | None = Field(None, gt=0, description="Of Gaussian soft-NMS; small is strict.")
    overlap: float | None = Field(
        None, gt=0, le=1, description="IoU from which linear and hard suppression lower others."
    )
    keep: int | None = Field(None, ge=1, description="Proposals of a video that are kept.")
    voting: float | None = Field(
        None,
        ge=0,
        le=1,
        description="IoU from which others vote on where a kept proposal begins and ends; 0: none do.",
    )
    steps_at_once: int = Field(
        2304, ge=1, description="Steps of a long video that are looked at together; changes memory only."
    )
    device: str = Field("auto", description="cpu, cuda, cuda:1; auto takes a GPU if there is one.")
