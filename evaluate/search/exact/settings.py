"""The settings of `featx search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from featx.clip.choices import MODELS
from featx.devices import DEVICES
from featx.help_pages import Panel, Panels

from ...run.settings import CodeSettings

SearchLevel = Literal["moments", "videos", "frames"]


class SearchSettings(CodeSettings):
    """What is looked for, how, and what is shown of it."""

    panels: ClassVar[Panels] = {
        Panel.FOUND: "top min_score level video windows widen apart",
        Panel.OUTPUT: "pictures edl_fps videos manifest",
        Panel.SPEED: "device index probe processes engine address",
        Panel.RERANKING: "adapter rerank clips",
        Panel.RARE: "model",
    }

    adapter: Path | None = Field(
        None,
        description="Folder of a run of featx train, or an adapter file. Its prompts are put into the query "
        "text; its temporal Transformer re-ranks the best results.",
    )
    top: int = Field(10, ge=1, description="Number of results per query.")
    min_score: float | None = Field(
        None, ge=-1, le=1, description="Leave out results whose score (a cosine) is lower than this."
    )
    level: SearchLevel = Field(
        "moments",
        description="What to search for: moments (with start and end), whole videos, or single frames.",
    )
    video: list[str] = Field(
        [], description="Search only the video with this id. May be given several times."
    )
    windows: list[float] = Field(
        [2, 4, 8, 16], description="Moments: lengths in seconds of the windows that slide over each video."
    )
    widen: float = Field(
        0.01,
        ge=0,
        description="Moments: a window that overlaps a better result extends that result if its cosine is at "
        "most this much lower.",
    )
    apart: float = Field(
        1.0, ge=0, description="Frames: smallest time between two results in one video, in seconds."
    )
    rerank: int = Field(
        100,
        ge=0,
        description="With --adapter: number of results, the best ones, that the adapter's temporal "
        "Transformer re-ranks. 0: none.",
    )
    clips: int = Field(
        5,
        ge=1,
        description="With --adapter: number of evenly spaced clips per re-ranked result, as in featx eval.",
    )
    index: Path | None = Field(
        None,
        description="Folder of a FAISS index for approximate search among millions of rows. It is created if "
        "missing and kept up to date with the store.",
    )
    probe: int = Field(
        64,
        ge=1,
        description="With --index: number of index cells that are searched. More cells give a higher recall "
        "and take longer.",
    )
    model: Annotated[str | None, MODELS] = Field(
        None,
        description="Model that encodes the queries, as featx extract names it. By default the one that "
        "the store records.",
    )
    device: Annotated[str, DEVICES] = Field(
        "auto",
        description="Device for CLIP and the adapter: cpu, cuda or cuda:1. auto takes a GPU if there is one.",
    )
    processes: int = Field(
        1, ge=1, description="Number of processes of this machine that scan the store, each a part of it."
    )
    engine: Literal["local", "ray"] = Field(
        "local",
        description="Where the store is scanned. local: on this machine. ray: on all machines of a Ray cluster, each a part; "
        "all of them must reach the store.",
    )
    address: str = Field(
        "auto", description="Ray cluster, such as 10.0.0.1:6379. auto: the one of this machine."
    )
    pictures: int = Field(4, ge=1, description="Contact sheet: number of frames per result.")
    edl_fps: int = Field(25, ge=1, le=240, description="--format edl: frames per second of the time codes.")
    videos: Path | None = Field(
        None,
        description="Pictures, clips and file names: folder in which the video files are now, if it has moved "
        "since extraction.",
    )
    manifest: Path | None = Field(
        None,
        description="Pictures, clips and file names: manifest (.jsonl) that says where the video files are. By "
        "default the store says it.",
    )

    @field_validator("windows")
    @classmethod
    def _check_windows(cls, windows: list[float]) -> list[float]:
        if not windows or min(windows) <= 0:
            raise ValueError("must be seconds, more than 0")
        return sorted(set(windows))
