"""One `featx extract` from start to end: model, store, resume, progress, summary."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
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

from featx.clip.images import ImageEncoder
from featx.clip.load import load_clip
from featx.devices import choose_device
from featx.extract.failures import Failure, FailureList
from featx.extract.pipeline import Counts, DecoderPool, run
from featx.extract.videos import SourceVideo, find_videos
from featx.store.schema import Fingerprint, VideoFacts, VideoFeatures
from featx.store.writer import StoreWriter


@dataclass(frozen=True)
class Options:
    """What `featx extract` was asked for; see its help."""

    model: str
    format: str = "zarr"
    dtype: str = "float16"
    batch_size: int = 64
    decoders: int = 0
    device: str = "auto"
    timeout_s: float = 3600.0


def extract_videos(inputs: list[Path], to: Path, options: Options) -> tuple[Counts, Path]:
    """Extracts all videos that are not in the store yet.

    Returns:
        What was done, and the file that lists failures.
    """
    console = Console(stderr=True, soft_wrap=True)
    videos = find_videos(inputs)
    loaded = load_clip(options.model)
    fingerprint = Fingerprint(
        model=loaded.name,
        weights_sha256=loaded.weights_sha256,
        input_size=loaded.input_size,
        width=loaded.width,
        dtype=options.dtype,
    )
    encoder = ImageEncoder(loaded, choose_device(options.device))
    with StoreWriter(to, fingerprint, options.format, loaded.source) as writer:
        failures = FailureList(to)
        todo = [video for video in videos if video.id not in writer.done]
        if len(todo) < len(videos):
            console.print(f"{len(videos) - len(todo)} of {len(videos)} videos are in {to} already")
        pool = DecoderPool(
            todo, options.decoders or os.cpu_count() or 1, loaded.input_size, options.timeout_s
        )
        began = time.monotonic()

        def store(video: SourceVideo, rows: VideoFeatures, facts: VideoFacts) -> None:
            writer.add(video.id, rows, facts)
            failures.clear(video.id)

        def fail(failure: Failure) -> None:
            failures.record(failure)
            console.print(
                f"failed: {failure.path}: {failure.error} ({failure.outcome})", markup=False, soft_wrap=True
            )

        with Progress(
            TextColumn("extract"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("videos, {task.fields[rate]:.0f} frames/s, {task.fields[failed]} failed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        ) as bar:
            task = bar.add_task("", total=len(todo), rate=0.0, failed=0)

            def progress(counts: Counts) -> None:
                rate = counts.frames_encoded / max(time.monotonic() - began, 1e-9)
                bar.update(task, completed=counts.videos + counts.failed, rate=rate, failed=counts.failed)

            counts = run(pool, encoder.encode, options.batch_size, options.dtype, store, fail, progress)
    seconds = time.monotonic() - began
    console.print(
        f"{to}: {counts.videos} videos added, {counts.frames_encoded} frames in {seconds:.1f} s "
        f"({counts.frames_encoded / max(seconds, 1e-9):.0f} frames/s), {counts.failed} failed, "
        f"{len(videos) - len(todo)} were there already"
    )
    return counts, failures.file
