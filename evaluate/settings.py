"""The settings of `featx eval`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from featx.settings import Settings


class EvalSettings(Settings):
    """What runs are scored on; whatever is not given is what the run was trained with."""

    store: Path | None = Field(
        None, description="Feature store, when it is not the one that the run was trained on."
    )
    manifest: Path | None = Field(
        None, description="Manifest with labels and splits, when it is not the one of the training."
    )
    split: str = Field("test", description="Split of the manifest that is scored.")
    clips: int = Field(5, ge=1, description="Clips of a video, evenly placed, whose scores are averaged.")
    model: str | None = Field(
        None, description="CLIP whose text encoder is used, when it is not where the store says."
    )
    batch: int = Field(64, ge=1, description="Videos that are scored at once.")
    device: str = Field("auto", description="cpu, cuda, cuda:1; auto takes a GPU if there is one.")
