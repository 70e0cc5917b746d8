"""The settings of scoring a file of detections."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from featx.help_pages import Panel, Panels
from featx.settings import Settings


class DetectionSettings(Settings):
    """What a file of detections is scored on, and how."""

    panels: ClassVar[Panels] = {
        Panel.DETECTIONS: "detections ground_truth split ap tiou as_proposals per_class errors blocked_videos ignore_unknown_videos ignore_unknown_labels",
    }

    detections: Path = Field(
        description="Score this file of detections, in ActivityNet's JSON form, instead of RUNS. Needs "
        "--ground-truth."
    )
    ground_truth: Path = Field(
        description="Annotations for --detections: a manifest with segments (.jsonl), or a file in "
        "ActivityNet's JSON form."
    )
    split: str | None = Field(
        None, description="Split to score. By default test, or val where nothing of test is annotated."
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
    as_proposals: bool = Field(
        False,
        description="Score the file of --detections as class-agnostic proposals: average recall against the "
        "average number of proposals.",
    )
    per_class: bool = Field(
        False, description="Localisation: also print the average precision of each class."
    )
    errors: bool = Field(
        False, description="Localisation: also print the kinds of errors among the detections (after DETAD)."
    )
    blocked_videos: Path | None = Field(
        None,
        description="With --detections: file of video ids that are not scored, one per line or as a JSON "
        "list.",
    )
    ignore_unknown_videos: bool = Field(
        False,
        description="With --detections: leave out, and count, detections of videos that are not in the "
        "split. By default they are an error.",
    )
    ignore_unknown_labels: bool = Field(
        False,
        description="With --detections: leave out, and count, detections of classes that the ground truth "
        "lacks. By default they are an error.",
    )
