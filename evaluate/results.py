"""The results file: what a run scored, on what, and of how many videos. See docs/results-file.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from featx.files import write_atomically

SCHEMA_VERSION = 1


class Videos(BaseModel):
    """How many videos the metrics are about, and the ids of those that had no features."""

    model_config = ConfigDict(extra="forbid")

    scored: int
    missing: list[str]

    @property
    def total(self) -> int:
        """Videos of the split."""
        return self.scored + len(self.missing)


class Results(BaseModel):
    """The content of ``results-SPLIT.json``; metrics are fractions of 1."""

    model_config = ConfigDict(extra="forbid")

    featx_results: int = SCHEMA_VERSION
    task: str
    run: str
    date: str
    data_set: str
    manifest: str
    store: str
    split: str
    clips: int
    config: dict[str, Any]
    classes: int
    classes_as_trained: bool
    learned_parameters: int
    fingerprint: dict[str, Any]
    videos: Videos
    metrics: dict[str, float]


def write_results(results: Results, run: Path) -> Path:
    """Writes the results into the run's folder, beside the list of missing videos if there are any.

    Returns:
        The results file.
    """
    file = run / f"results-{results.data_set}-{results.split}.json"
    write_atomically(file, results.model_dump_json(indent=2).encode() + b"\n")
    missing = missing_file(results, run)
    missing.unlink(missing_ok=True)
    if results.videos.missing:
        write_atomically(missing, "".join(f"{video_id}\n" for video_id in results.videos.missing).encode())
    return file


def missing_file(results: Results, run: Path) -> Path:
    """Returns where the ids of the videos without features are listed."""
    return run / f"missing-{results.data_set}-{results.split}.txt"
