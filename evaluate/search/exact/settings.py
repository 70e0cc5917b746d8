"""The settings of `featx search`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from featx.settings import Settings

SearchLevel = Literal["moments", "videos", "frames"]


class SearchSettings(Settings):
    """What is looked for, how, and what is shown of it."""

    adapter: Path | None = Field(
        None,
        description="Run of featx train, or an adapter file: the text gets its prompts, the best finds its Transformer.",
    )
    top: int = Field(10, ge=1, description="How many finds a query gets.")
    level: SearchLevel = Field(
        "moments",
        description="What is found: moments (start and end), whole videos, or single frames.",
    )
    video: list[str] = Field([], description="Search only this video, by its id; may be given several times.")
    windows: list[float] = Field(
        [2, 4, 8, 16], description="Moments: seconds of the windows that slide over each video."
    )
    widen: float = Field(
        0.01,
        ge=0,
        description="Moments: a window that overlaps a better one widens it if its cosine is at most so much lower.",
    )
    apart: float = Field(1.0, ge=0, description="Frames: seconds between two finds in a video.")
    rerank: int = Field(
        100,
        ge=0,
        description="How many of the best finds go through the adapter's temporal Transformer; 0 for none.",
    )
    clips: int = Field(5, ge=1, description="Clips of each of them, evenly placed, as in featx eval.")
    index: Path | None = Field(
        None,
        description="Folder of a FAISS index: approximate, for millions. Made if it is not there, kept up to date.",
    )
    probe: int = Field(
        64, ge=1, description="Index: how many of its cells are looked at; more find more, and take longer."
    )
    model: str | None = Field(None, description="CLIP, when it is not where the store says.")
    device: str = Field("auto", description="Of CLIP and the adapter: cpu, cuda, cuda:1; auto takes a GPU.")
    pictures: int = Field(4, ge=1, description="Contact sheet: frames of each find.")
    videos: Path | None = Field(
        None,
        description="Contact sheet: where the folder of the video files is now, if it is not where the store says.",
    )
    manifest: Path | None = Field(
        None, description="Contact sheet: manifest that says where the video files are, instead of it."
    )

    @field_validator("windows")
    @classmethod
    def _check_windows(cls, windows: list[float]) -> list[float]:
        if not windows or min(windows) <= 0:
            raise ValueError("must be seconds, more than 0")
        return sorted(set(windows))
