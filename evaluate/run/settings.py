"""The settings of the evaluation commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from featx.clip.choices import MODELS
from featx.devices import DEVICES
from featx.features.clips import CLIPS, ClipSampling
from featx.help_pages import Panel, Panels
from featx.localisation.proposals_file import PROPOSAL_WEIGHT, TOP_CLASSES
from featx.settings import MAY_CHANGE, Mark, Settings

ONLY_TO_LEARN = Mark("zero-shot, which learns nothing, never looks at it")


class ScoreSettings(Settings):
    """How videos are scored, whatever the command."""

    panels: ClassVar[Panels] = {
        Panel.CLIPS: "clips",
        Panel.SPEED: "device batch_size precision",
        Panel.RARE: "model",
    }

    former_names: ClassVar = {"batch": "batch_size"}

    clips: Annotated[int, MAY_CHANGE] = Field(
        CLIPS, ge=1, description="Number of evenly spaced clips of a video whose scores are averaged."
    )
    model: Annotated[str | None, MODELS, MAY_CHANGE] = Field(
        None,
        description="Model whose text encoder is used, as featx extract names it. By default the one that "
        "the store records.",
    )
    batch_size: Annotated[int, MAY_CHANGE] = Field(
        64, ge=1, description="Number of videos that are scored at once."
    )
    device: Annotated[str, DEVICES, MAY_CHANGE] = Field(
        "auto", description="Device to compute on: cpu, cuda or cuda:1. auto takes a GPU if there is one."
    )
    precision: Annotated[Literal["fp32", "bf16"], MAY_CHANGE] = Field(
        "fp32",
        description="Number type of the matrix products in text encoder and temporal Transformer. bf16 takes "
        "about half the time on a processor with bf16 instructions; results and tables name it.",
    )


class CodeSettings(Settings):
    """Whether code that is not featx's may run."""

    panels: ClassVar[Panels] = {
        Panel.RARE: "trust_code",
    }

    trust_code: Annotated[bool, MAY_CHANGE] = Field(
        False,
        description="Run the temporal model of an adapter that was trained with featx train --model-code, without "
        "asking. Its source must be the one that the adapter recorded.",
    )


class ClassSettings(Settings):
    """Which classes compete."""

    panels: ClassVar[Panels] = {
        Panel.CLASSES: "classes class_split class_split_name seen_list unseen_list",
    }

    classes: Literal["all", "seen", "unseen"] = Field(
        "all",
        description="Classes that compete. unseen: only classes that were not learned, by their names. seen: "
        "only learned ones. all: every class. Seen classes are those of the run, unless "
        "--class-split or a list is given.",
    )
    class_split: Path | None = Field(
        None, description="Class-splits file (.jsonl) that says which classes are seen and unseen."
    )
    class_split_name: str | None = Field(
        None,
        description="Open-set: name of the class split in the --class-split file, such as split_0. Needed if "
        "the file has several class splits.",
    )
    seen_list: Path | None = Field(
        None, description="Text file of the seen classes, one per line. An alternative to --class-split."
    )
    unseen_list: Path | None = Field(
        None,
        description="Text file of the unseen classes, one per line. An alternative to --class-split. One of "
        "the two lists is enough.",
    )


class SplitSettings(ScoreSettings, CodeSettings):
    """What runs are scored on; whatever is not given is what the run was trained with."""

    panels: ClassVar[Panels] = {
        Panel.DATA: "store manifest split",
    }

    store: Path | None = Field(
        None, description="Feature store. By default the one that the run was trained on."
    )
    manifest: Path | None = Field(
        None,
        description="Manifest with labels and splits (.jsonl). By default the one that the run was trained "
        "on.",
    )
    split: str = Field("test", description="Split of the manifest to score.")


class EvalSettings(SplitSettings, ClassSettings):
    """How recognition is scored."""


class RetrieveSettings(SplitSettings):
    """How sentences and videos are ranked."""

    panels: ClassVar[Panels] = {
        Panel.RETRIEVAL: "ties normalise bank_split",
    }

    ties: Literal["average", "optimistic", "pessimistic"] = Field(
        "average",
        description="Retrieval: how wrong answers with the same score as the right one count in its rank. "
        "average: half. optimistic: not at all. pessimistic: in full.",
    )
    normalise: list[Literal["dual-softmax", "query-bank"]] = Field(
        [],
        description="Retrieval: also print rows with scores that are normalised over all queries: "
        "dual-softmax, query-bank, or both with a comma.",
    )
    bank_split: str = Field(
        "train",
        description="Retrieval: split from which --normalise query-bank takes its captions and videos.",
    )


class LocaliseSettings(EvalSettings):
    """How the detections of localisation runs are made and scored."""

    panels: ClassVar[Panels] = {
        Panel.PROPOSALS: "proposals proposal_weight top_classes ap tiou per_class errors save_detections timeline timeline_format",
    }

    proposals: str = Field(
        description="Localisation: proposals file, made by featx propose; or ground-truth, which takes the "
        "annotated segments as proposals."
    )
    proposal_weight: float = Field(
        PROPOSAL_WEIGHT,
        ge=0,
        le=1,
        description="Localisation: w in the score of a detection, proposal score ** w * class probability ** "
        "(1 - w).",
    )
    top_classes: int = Field(
        TOP_CLASSES,
        ge=1,
        description="Localisation: number of classes, the most probable ones, that each proposal gives "
        "detections of.",
    )
    ap: Literal["official", "dedup", "thumos-matlab"] = Field(
        "official",
        description="Localisation: rule of average precision. official: ActivityNet's program. dedup: the "
        "same without instances that repeat or have no length. thumos-matlab: THUMOS14's kit.",
    )
    tiou: list[float] = Field(
        [],
        description="Localisation: thresholds of temporal IoU, such as 0.3,0.4,0.5,0.6,0.7. By default 0.5 "
        "to 0.95 in steps of 0.05 for ActivityNet, and 0.3 to 0.7 in steps of 0.1 for other data "
        "sets.",
    )
    per_class: bool = Field(
        False, description="Localisation: also print the average precision of each class."
    )
    errors: bool = Field(
        False, description="Localisation: also print the kinds of errors among the detections (after DETAD)."
    )
    save_detections: Path | None = Field(
        None,
        description="Localisation: write the detections into this file, as ActivityNet's JSON. With one RUN "
        "only.",
    )
    timeline: list[str] = Field(
        [],
        description="Localisation: ids of videos, such as a.mp4,b.mp4, to draw into RUN/timelines/: "
        "annotations, proposals, detections, class scores over time, and frames.",
    )
    timeline_format: Literal["png", "svg"] = Field(
        "png", description="Localisation: file format of the drawings of --timeline."
    )


class BaselineSettings(ScoreSettings):
    """What a baseline is made of and scored on."""

    panels: ClassVar[Panels] = {
        Panel.DATA: "store manifest train_split split",
        Panel.LEARNED: "task template template_file c",
        Panel.CLIPS: "clips clip_frames strides stride_weights",
        Panel.EPISODES: "episodes",
        Panel.PROPOSALS: "proposals",
    }

    task: Annotated[Literal["recognition", "localisation", "retrieval"], MAY_CHANGE] = Field(
        "recognition",
        description="What to score. recognition: classify videos. localisation (zero-shot only): classify "
        "proposals. retrieval (zero-shot only): match videos and sentences.",
    )
    proposals: Annotated[str | None, MAY_CHANGE] = Field(
        None,
        description="Localisation: proposals file, made by featx propose; or ground-truth, which takes the "
        "annotated segments as proposals.",
    )
    store: Annotated[Path, MAY_CHANGE] = Field(description="Feature store, made by featx extract. Required.")
    manifest: Annotated[Path, MAY_CHANGE] = Field(
        description="Manifest with labels and splits (.jsonl). Required."
    )
    train_split: Annotated[str, ONLY_TO_LEARN] = Field(
        "train", description="Split of the manifest to learn from. Not used by zero-shot."
    )
    split: Annotated[str, MAY_CHANGE] = Field("test", description="Split of the manifest to score.")
    episodes: Annotated[Path | None, ONLY_TO_LEARN] = Field(
        None,
        description="Few-shot: episodes file (.jsonl). Each episode is learned and scored on its own; the "
        "manifest's splits do not matter.",
    )
    template: list[str] = Field([], description="Text around a class name, with {} for the name.")
    template_file: Path | None = Field(
        None, description="Zero-shot: text file of templates, one per line. An alternative to --template."
    )
    c: Annotated[float, ONLY_TO_LEARN] = Field(
        0.316,
        gt=0,
        description="Linear probe: inverse strength of the L2 regularisation. The default is that of CLIP's "
        "own example.",
    )
    clip_frames: int = Field(16, ge=1, description="Zero-shot: number of rows (frames) in a clip.")
    strides: list[int] = Field(
        [1, 2, 3, 4], description="Zero-shot: strides, in rows, that a clip may have, as in featx train."
    )
    stride_weights: list[float] = Field(
        [1, 1, 3, 1],
        description="Zero-shot: relative frequency of each stride of --strides among a video's clips, as in "
        "featx train.",
    )

    @model_validator(mode="after")
    def _strides_and_weights_fit(self) -> BaselineSettings:
        _ = self.clip_sampling
        return self

    @property
    def clip_sampling(self) -> ClipSampling:
        """The clips of each video."""
        return ClipSampling(self.clip_frames, self.strides, self.stride_weights, self.clips)


class PredictSettings(ScoreSettings, CodeSettings):
    """How one's own videos are classified."""

    panels: ClassVar[Panels] = {
        Panel.FOUND: "adapter classes_file top window hop detector",
        Panel.DATA: "store",
    }

    adapter: Path = Field(
        description="Folder of a run of featx train or featx baseline, or an adapter file. Required."
    )
    store: Path | None = Field(
        None,
        description="Classify the videos of this feature store instead of video files: all of them, or those "
        "of --ids.",
    )
    classes_file: Path | None = Field(
        None,
        description="Text file of class names, one per line, to use instead of the learned classes. Needs an "
        "adapter or a zero-shot baseline: other baselines know only their own classes.",
    )
    detector: Path | None = Field(
        None,
        description="Localisation: folder of a run of featx train --task proposals. Prints classified "
        "segments instead of classes of whole videos.",
    )
    top: int = Field(
        5,
        ge=1,
        description="Number of classes (with --detector: of segments) to print for each video or window.",
    )
    window: float | None = Field(
        None,
        gt=0,
        description="Length of a sliding window in seconds. By default a video is classified as a whole.",
    )
    hop: float | None = Field(
        None,
        gt=0,
        description="Time from the start of one window to the next, in seconds. By default half of --window.",
    )


class ProposeSettings(Settings):
    """What proposals are made of; whatever is not given is what the detector was trained with."""

    panels: ClassVar[Panels] = {
        Panel.DATA: "store manifest split",
        Panel.FOUND: "watershed",
        Panel.SELECTION: "keep min_score before_suppression suppression sigma overlap voting",
        Panel.SPEED: "device steps_at_once",
    }

    store: Path | None = Field(
        None, description="Feature store. By default the one that the run was trained on."
    )
    manifest: Path | None = Field(
        None, description="Manifest with the videos (.jsonl). By default the one that the run was trained on."
    )
    split: str = Field("test", description="Split of the manifest whose videos get proposals.")
    watershed: bool = Field(
        False,
        description="Propose groups of moments that look unlike the rest of the video, instead of using a "
        "RUN. Needs no training.",
    )
    before_suppression: int | None = Field(
        None,
        ge=1,
        description="Number of proposals of a video, the best by score, that go into non-maximum suppression "
        "(NMS).",
    )
    min_score: float | None = Field(
        None, ge=0, lt=1, description="Drop proposals with a lower score before suppression."
    )
    suppression: Literal["gaussian", "linear", "hard"] | None = Field(
        None,
        description="Non-maximum suppression of overlapping proposals: soft-NMS with a Gaussian or linear "
        "penalty, or hard NMS. By default as in training.",
    )
    sigma: float | None = Field(
        None, gt=0, description="Width of the Gaussian penalty of soft-NMS. A smaller value suppresses more."
    )
    overlap: float | None = Field(
        None, gt=0, le=1, description="Temporal IoU from which linear and hard suppression act."
    )
    keep: int | None = Field(
        None, ge=1, description="Number of proposals of a video that are kept after suppression."
    )
    voting: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Refine the boundaries of a kept proposal by the proposals that overlap it with at least "
        "this temporal IoU. 0: no refinement.",
    )
    steps_at_once: int = Field(
        2304,
        ge=1,
        description="Number of steps of a long video that the detector computes at once. Affects memory, not "
        "results.",
    )
    device: Annotated[str, DEVICES] = Field(
        "auto", description="Device to compute on: cpu, cuda or cuda:1. auto takes a GPU if there is one."
    )
