"""One `featx extract` from start to end: model, store, resume, progress, summary."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from rich.console import Console

from featx.clip.images import ImageEncoder, choose_precision
from featx.clip.load import LoadedClip, load_clip
from featx.devices import choose_device
from featx.errors import FeatxError, printable
from featx.extract.command import DecodeOptions
from featx.extract.pipeline import Counts, run
from featx.extract.pool import DecoderPool, PictureOptions
from featx.extract.progress import ProgressBar, summary, write_stats
from featx.extract.sampling import Sampling, choose_sampling
from featx.extract.settings import ExtractSettings
from featx.extract.videos import SourceVideo, find_videos
from featx.store.failures import Failure, FailureList
from featx.store.schema import Fingerprint, VideoFacts, VideoFeatures
from featx.store.writer import StoreWriter


def sampling_of(settings: ExtractSettings) -> Sampling:
    """Returns the sampling that the settings ask for."""
    return choose_sampling(settings.fps, settings.every, settings.frames, settings.keyframes)


def fingerprint_of(settings: ExtractSettings, loaded: LoadedClip, device: str) -> Fingerprint:
    """Returns what decides the features' values."""
    return Fingerprint(
        model=loaded.name,
        weights_sha256=loaded.weights_sha256,
        input_size=loaded.input_size,
        width=loaded.width,
        preprocess="clip-exact" if settings.preprocess == "exact" else "ffmpeg-fast",
        channel_order=settings.channel_order,
        sampling=str(sampling_of(settings)),
        precision=choose_precision(settings.precision, device),
        dtype=settings.dtype,
    )


def picture_options(settings: ExtractSettings, input_size: int) -> PictureOptions:
    """Returns how videos become the encoder's input."""
    decode = DecodeOptions(
        sampling=sampling_of(settings),
        fast_size=input_size if settings.preprocess == "fast" else None,
        hwaccel=settings.decode_hwaccel,
        threads=settings.decoder_threads,
        timeout_s=settings.timeout,
        max_pixels=settings.max_pixels,
        max_duration_s=settings.max_duration,
        max_frames=settings.max_frames,
    )
    return PictureOptions(input_size, decode, settings.channel_order, settings.on_damage, settings.retries)


class StoreSink:
    """Puts videos into the store and failures into their list; says each failure at once."""

    def __init__(self, writer: StoreWriter, failures: FailureList, console: Console) -> None:
        self._writer = writer
        self._failures = failures
        self._console = console

    def store(self, video: SourceVideo, rows: VideoFeatures, facts: VideoFacts) -> None:
        """Adds a whole video."""
        self._writer.add(video.id, rows, facts)

    def fail(self, failure: Failure) -> None:
        """Lists a failure."""
        self._failures.record(failure)
        line = f"failed: {printable(failure.path)}: {printable(failure.error)} ({failure.outcome})"
        self._console.print(line, markup=False, highlight=False)


def extract_videos(inputs: list[Path], to: Path, settings: ExtractSettings) -> tuple[Counts, Path]:
    """Extracts all videos that are not in the store yet.

    Returns:
        What was done, and the file that lists failures.
    """
    console = Console(stderr=True, soft_wrap=True)
    found = find_videos(inputs, settings.follow_links)
    device = choose_device(settings.device)
    loaded = load_clip(settings.model)
    fingerprint = fingerprint_of(settings, loaded, device)
    encoder = ImageEncoder(loaded, device, fingerprint.precision, settings.compile)  # type: ignore[arg-type]
    with StoreWriter(to, fingerprint, settings.format, loaded.source) as writer:
        failures = FailureList(to)
        todo = [video for video in found.videos if video.id not in writer.done]
        were_there = len(found.videos) - len(todo)
        if were_there:
            console.print(f"{were_there} of {len(found.videos)} videos are in {to} already")
        sink = StoreSink(writer, failures, console)
        for failure in found.refused:
            sink.fail(failure)
        pool = DecoderPool(
            iter(todo), settings.decoders or os.cpu_count() or 1, picture_options(settings, loaded.input_size)
        )
        try:
            with contextlib.closing(iter(pool)) as items, ProgressBar(console, len(todo)) as bar:
                counts = run(
                    items,
                    encoder,
                    settings.batch_size,
                    settings.dtype,
                    sink,
                    bar.update,
                    settings.max_failures,
                )
        finally:
            failures.tidy({video_id for video_id, complete in writer.done.items() if complete})
    stopped = 0 < settings.max_failures <= counts.failed
    counts.failed += len(found.refused)
    console.print(summary(to, counts, were_there))
    if settings.stats is not None:
        write_stats(settings.stats, counts, were_there, settings.model_dump(mode="json"))
    if stopped:
        raise FeatxError(
            f"--max-failures {settings.max_failures}: reached; what was whole is in {to}, and {failures.file} lists "
            "what failed"
        )
    return counts, failures.file
