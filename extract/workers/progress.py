"""What a user sees of a running extraction, and the figures at its end."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.files.atomic import write_atomically
from featx.store.failures import Failure

from .messages import FrameCounts


@dataclass
class Tally:
    """What a run has done so far.

    A damaged video that is kept counts as added and as failed, but is finished once.
    """

    there_already: int = 0
    added: int = 0
    accepted: int = 0
    failed: int = 0
    finished: int = 0
    seconds: float = 0.0
    frames: FrameCounts = field(default_factory=FrameCounts)
    failures: list[Failure] = field(default_factory=list)


def figures_of(tally: Tally) -> str:
    """Returns what moves while a video is worked on, be it an hour long: frames, speed, which side limits, failures."""
    seconds = max(tally.seconds, 1e-9)
    frames = tally.frames
    return (
        f"{frames.frames_encoded:,} frames, {frames.frames_decoded / seconds:.0f} frames/s decoded, "
        f"{frames.frames_encoded / seconds:.0f} encoded (limit: {frames.limit}), {tally.failed} failed"
    )


def summary(to: object, tally: Tally) -> str:
    """Returns the last line of a run."""
    frames = tally.frames
    rate = frames.frames_encoded / max(tally.seconds, 1e-9)
    return (
        f"{to}: {tally.added} videos added, {frames.frames_encoded} frames in {tally.seconds:.1f} s "
        f"({rate:.0f} frames/s, limit: {frames.limit}), {tally.failed} failed, {tally.there_already} were there already"
        + (f", {tally.accepted} accepted as bad" if tally.accepted else "")
    )


def write_stats(file: Path, tally: Tally, settings: dict[str, Any]) -> None:
    """Writes a run's figures as JSON."""
    seconds = max(tally.seconds, 1e-9)
    frames = tally.frames
    figures = {
        "videos_added": tally.added,
        "videos_failed": tally.failed,
        "videos_there_already": tally.there_already,
        "videos_accepted_as_bad": tally.accepted,
        "frames_decoded": frames.frames_decoded,
        "frames_encoded": frames.frames_encoded,
        "seconds": tally.seconds,
        "frames_decoded_per_s": frames.frames_decoded / seconds,
        "frames_encoded_per_s": frames.frames_encoded / seconds,
        "frames_from_planes": frames.frames_from_planes,
        "encoder_starved_s": frames.starved_s,
        "encoder_batch_s": frames.batch_s,
        "encoder_result_s": frames.result_s,
        "limit": frames.limit,
        "cores": os.cpu_count(),
        "settings": settings,
    }
    write_atomically(file, json.dumps(figures, indent=2).encode() + b"\n")
