"""The settings of scoring a file of detections."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from featx.settings import Settings


class DetectionSettings(Settings):
    """What a file of detections is scored on, and how."""

    detections: Path = Field(description="Instead of RUNS: file of detections in ActivityNet's JSON.")
    ground_truth: Path = Field(
        description="What it is scored on: manifest with segments (.jsonl), or ActivityNet's JSON."
    )
    split: str | None = Field(
        None, description="Split that is scored; else test, or val where the data set holds test back."
    )
    ap: Literal["official", "dedup", "thumos-matlab"] = Field(
        "official",
        description="Rule of average precision: ActivityNet's program, the same without instances that repeat or have no "
        "length, or THUMOS14's kit.",
    )
    tiou: list[float] = Field(
        [],
        description="Overlaps, such as 0.3,0.4,0.5,0.6,0.7; else .5:.05:.95 for ActivityNet and .3:.1:.7 for others.",
    )
    as_proposals: bool = Field(
        False,
        description="The file holds class-agnostic proposals: average recall against their average number.",
    )
    per_class: bool = Field(False, description="Also print the average precision of each class.")
    errors: bool = Field(False, description="Also print what the wrong detections are (after DETAD).")
    blocked_videos: Path | None = Field(
        None, description="File of videos that are not to be scored: one id a line, or a JSON list."
    )
    ignore_unknown_videos: bool = Field(
        False, description="Count detections of videos that are not in the split, and leave them out."
    )
    ignore_unknown_labels: bool = Field(
        False, description="Count detections of classes that the ground truth lacks, and leave them out."
    )
