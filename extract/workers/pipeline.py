"""From decoded chunks to whole videos: batches across videos, a few in flight, rows put back in their places.

A batch holds frames of whatever videos are at hand, so that short videos never leave the encoder half empty.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from featx.errors import FeatxError
from featx.store.failures import Failure
from featx.store.schema import VideoFeatures, VideoInfo

from ..plan.videos import SourceVideo
from .decoder_pool import Chunk, VideoEnd

BATCHES_IN_FLIGHT = 2  # one is computed while the next is copied to the device and filled


class Encoder(Protocol):
    """Starts a batch (B, n, n, 3) uint8; the returned function waits for it and gives (B, D) float32."""

    def start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        """Begins to encode."""
        ...


class Sink(Protocol):
    """Where finished videos and failures go."""

    def store(self, video: SourceVideo, rows: VideoFeatures, video_info: VideoInfo) -> None:
        """Takes a video that is whole."""
        ...

    def fail(self, failure: Failure) -> None:
        """Takes a failure; a damaged video that is kept is stored as well."""
        ...


@dataclass
class FrameCounts:
    """How many frames went through a run so far. ``starved_s``: seconds that the encoder waited for decoders."""

    frames_decoded: int = 0
    frames_encoded: int = 0
    seconds: float = 0.0
    starved_s: float = 0.0

    @property
    def limit(self) -> str:
        """The side that decides the speed: `decoding` if the encoder waits a third of the time, else `encoding`."""
        return "decoding" if self.starved_s > self.seconds / 3 else "encoding"

    def add(self, other: FrameCounts) -> None:
        """Adds frames and starved time; the seconds of runs beside each other are those of the longest."""
        self.frames_decoded += other.frames_decoded
        self.frames_encoded += other.frames_encoded
        self.starved_s += other.starved_s
        self.seconds = max(self.seconds, other.seconds)


@dataclass
class _OpenVideo:
    """A video whose pictures are being encoded."""

    features: list[np.ndarray] = field(default_factory=list)
    pictures_waiting: int = 0
    end: VideoEnd | None = None


class Assembly:
    """Fills batches and puts what comes back together into videos."""

    def __init__(self, dtype: str, sink: Sink) -> None:
        self.counts = FrameCounts()
        self.pictures_waiting = 0
        self._dtype = dtype
        self._sink = sink
        self._open: dict[str, _OpenVideo] = {}
        self._chunks: deque[tuple[_OpenVideo, np.ndarray]] = deque()

    def take(self, item: Chunk | VideoEnd) -> None:
        """Takes what a decoder hands over: chunks of a video in order, then its end."""
        video = self._open.setdefault(item.video.id, _OpenVideo())
        if isinstance(item, Chunk):
            self._chunks.append((video, item.pixels))
            video.pictures_waiting += len(item.pixels)
            self.pictures_waiting += len(item.pixels)
            self.counts.frames_decoded += len(item.pixels)
        elif item.restart:
            # What is on its way through the encoder comes back to nobody.
            del self._open[item.video.id]
        else:
            video.end = item
            self._finish(video)

    def fill(self, size: int) -> tuple[np.ndarray, list[tuple[_OpenVideo, int]]]:
        """Returns the next ``size`` waiting pictures, and whose they are in turn."""
        parts: list[np.ndarray] = []
        owners: list[tuple[_OpenVideo, int]] = []
        missing = size
        while missing:
            video, pixels = self._chunks.popleft()
            if len(pixels) > missing:
                self._chunks.appendleft((video, pixels[missing:]))
                pixels = pixels[:missing]
            parts.append(pixels)
            owners.append((video, len(pixels)))
            missing -= len(pixels)
        self.pictures_waiting -= size
        return np.concatenate(parts), owners

    def give(self, features: np.ndarray, owners: list[tuple[_OpenVideo, int]]) -> None:
        """Gives (B, D) features back to their videos; videos that are whole go to the sink."""
        self.counts.frames_encoded += len(features)
        start = 0
        for video, taken in owners:
            video.features.append(features[start : start + taken].astype(self._dtype))
            video.pictures_waiting -= taken
            start += taken
        for video in {id(video): video for video, _ in owners}.values():
            self._finish(video)

    def _finish(self, video: _OpenVideo) -> None:
        end = video.end
        if end is None or video.pictures_waiting:
            return
        if self._open.pop(end.video.id, None) is not video:
            return
        if end.rows is not None and end.video_info is not None:
            features = np.concatenate(video.features)[end.rows.picture]
            rows = VideoFeatures(features, end.rows.pts, end.rows.frame_index)
            self._sink.store(end.video, rows, end.video_info)
        if end.failure is not None:
            self._sink.fail(end.failure)

    def check_empty(self) -> None:
        """Raises an error if a video was begun and not finished: that would be a defect of ours."""
        if self._open:
            raise FeatxError(f"internal: {len(self._open)} videos were never finished")


def encode_videos(
    items: Iterator[Chunk | VideoEnd],
    encoder: Encoder,
    batch_size: int,
    dtype: str,
    sink: Sink,
    progress: Callable[[FrameCounts], None],
) -> FrameCounts:
    """Encodes everything that the decoders hand over.

    Args:
        items: Chunks of pictures of any videos, in each video's order, and an `VideoEnd` for each video.
        encoder: Encodes batches.
        batch_size: Pictures in a batch; only the last one is smaller.
        dtype: What features are stored as.
        sink: Takes finished videos and failures.
        progress: Called after every item.

    Returns:
        What was done.
    """
    assembly = Assembly(dtype, sink)
    counts = assembly.counts
    in_flight: deque[tuple[Callable[[], np.ndarray], list[tuple[_OpenVideo, int]]]] = deque()
    began = time.monotonic()

    def encode(size: int) -> None:
        pixels, owners = assembly.fill(size)
        in_flight.append((encoder.start(pixels), owners))
        if len(in_flight) >= BATCHES_IN_FLIGHT:
            collect()

    def collect() -> None:
        wait, owners = in_flight.popleft()
        assembly.give(wait(), owners)

    while True:
        began_waiting = time.monotonic()
        item = next(items, None)
        counts.starved_s += time.monotonic() - began_waiting
        if item is None:
            break
        assembly.take(item)
        while assembly.pictures_waiting >= batch_size:
            encode(batch_size)
        counts.seconds = time.monotonic() - began
        progress(counts)
    while assembly.pictures_waiting:
        encode(min(batch_size, assembly.pictures_waiting))
    while in_flight:
        collect()
    counts.seconds = time.monotonic() - began
    progress(counts)
    assembly.check_empty()
    return counts
