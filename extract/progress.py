"""What a user sees of a running extraction, and the figures at its end."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from featx.extract.pipeline import Counts
from featx.files import write_atomically


class ProgressBar:
    """Videos, frames a second on both sides, which side limits, failures, time left; a context manager."""

    def __init__(self, console: Console, videos: int) -> None:
        self._bar = Progress(
            TextColumn("extract"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("videos, {task.fields[text]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("", total=videos, text="")

    def update(self, counts: Counts) -> None:
        """Shows how far the run is."""
        seconds = max(counts.seconds, 1e-9)
        text = (
            f"{counts.frames_decoded / seconds:.0f} frames/s decoded, {counts.frames_encoded / seconds:.0f} encoded "
            f"(limit: {counts.limit}), {counts.failed} failed"
        )
        self._bar.update(self._task, completed=counts.finished, text=text)

    def __enter__(self) -> ProgressBar:
        self._bar.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._bar.__exit__(*details)  # type: ignore[arg-type]


def summary(to: Path, counts: Counts, were_there: int) -> str:
    """Returns the last line of a run."""
    rate = counts.frames_encoded / max(counts.seconds, 1e-9)
    return (
        f"{to}: {counts.videos} videos added, {counts.frames_encoded} frames in {counts.seconds:.1f} s "
        f"({rate:.0f} frames/s, limit: {counts.limit}), {counts.failed} failed, {were_there} were there already"
    )


def write_stats(file: Path, counts: Counts, were_there: int, settings: dict) -> None:
    """Writes a run's figures as JSON."""
    seconds = max(counts.seconds, 1e-9)
    figures = {
        "videos_added": counts.videos,
        "videos_failed": counts.failed,
        "videos_there_already": were_there,
        "frames_decoded": counts.frames_decoded,
        "frames_encoded": counts.frames_encoded,
        "seconds": counts.seconds,
        "frames_decoded_per_s": counts.frames_decoded / seconds,
        "frames_encoded_per_s": counts.frames_encoded / seconds,
        "encoder_starved_s": counts.starved_s,
        "limit": counts.limit,
        "cores": os.cpu_count(),
        "settings": settings,
    }
    write_atomically(file, json.dumps(figures, indent=2).encode() + b"\n")
