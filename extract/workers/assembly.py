"""From decoded chunks to batches across videos, and from their features to whole videos.

A batch holds frames of whatever videos are at hand, so that short videos never leave the encoder half empty.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from featx.errors import FeatxError
from featx.store.failures import Failure
from featx.store.schema import VideoFeatures, VideoInfo

from ..plan.videos import SourceVideo
from .decoder_pool import Chunk, VideoEnd
from .messages import FrameCounts
from .picture_maker import Pixels, joined


class Sink(Protocol):
    """Where finished videos and failures go."""

    def store(self, video: SourceVideo, rows: VideoFeatures, video_info: VideoInfo) -> None:
        """Takes a video that is whole."""
        ...

    def fail(self, failure: Failure) -> None:
        """Takes a failure; a damaged video that is kept is stored as well."""
        ...


@dataclass
class OpenVideo:
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
        self._open: dict[str, OpenVideo] = {}
        self._chunks: deque[tuple[OpenVideo, Pixels]] = deque()

    def take(self, item: Chunk | VideoEnd) -> None:
        """Takes what a decoder hands over: chunks of a video in order, then its end."""
        video = self._open.setdefault(item.video.id, OpenVideo())
        if isinstance(item, Chunk):
            self._chunks.append((video, item.pixels))
            video.pictures_waiting += len(item.pixels)
            self.pictures_waiting += len(item.pixels)
            self.counts.frames_decoded += len(item.pixels)
            self.counts.frames_from_planes += len(item.pixels) if item.from_planes else 0
        elif item.restart:
            # What is on its way through the encoder comes back to nobody.
            del self._open[item.video.id]
        else:
            video.end = item
            self._finish(video)

    def fill(self, size: int) -> tuple[Pixels, list[tuple[OpenVideo, int]]]:
        """Returns the next ``size`` waiting pictures, and whose they are in turn."""
        parts: list[Pixels] = []
        owners: list[tuple[OpenVideo, int]] = []
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
        return joined(parts), owners

    def give(self, features: np.ndarray, owners: list[tuple[OpenVideo, int]]) -> None:
        """Gives (B, D) features back to their videos; videos that are whole go to the sink."""
        self.counts.frames_encoded += len(features)
        start = 0
        for video, taken in owners:
            video.features.append(features[start : start + taken].astype(self._dtype))
            video.pictures_waiting -= taken
            start += taken
        for video in {id(video): video for video, _ in owners}.values():
            self._finish(video)

    def _finish(self, video: OpenVideo) -> None:
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
        """Checks that every video that was begun was finished: anything else would be a defect of ours.

        Raises:
            FeatxError: If one was not.
        """
        if self._open:
            raise FeatxError(f"internal: {len(self._open)} videos were never finished")
