"""A folder of small videos that lives, and an extraction of it in this process with an encoder that is quick."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from featx.clip.preprocess import Preprocessing
from featx.extract.plan.videos import SourceVideo
from featx.extract.workers.decoder_pool import Chunk, PictureOptions, decode_video
from featx.extract.workers.messages import FrameCounts, VideoDone, VideoFailed, WorkerProgress, WorkerReady
from featx.store.failures import Failure
from featx.store.schema import Fingerprint, VideoFeatures, VideoInfo

WIDTH, SIDE = 16, 32
FINGERPRINT = Fingerprint(model="quick", weights_sha256="0" * 64, input_size=SIDE, width=WIDTH)
PROJECTION = np.random.default_rng(0).standard_normal((48, WIDTH))


def make_clips(folder: Path, count: int) -> list[bytes]:
    """Returns different videos of 3 to 10 frames; every second one has as many bytes as the one before it."""
    import av

    clips: list[bytes] = []
    for number in range(count):
        rng = np.random.default_rng(number)
        file = folder / f"{number}.mp4"
        with av.open(str(file), "w") as container:
            stream = container.add_stream("mpeg4", 25)
            stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
            for _ in range(3 + number):
                picture = np.kron(rng.integers(0, 255, (4, 6, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
            container.mux(stream.encode())
        clips.append(file.read_bytes())
    for number in range(1, count, 2):
        one, other = clips[number - 1], clips[number]
        size = max(len(one), len(other)) + 8
        clips[number - 1 : number + 1] = [_padded(one, size), _padded(other, size)]
    return clips


def _padded(content: bytes, size: int) -> bytes:
    """Returns an MP4 file with a box of nothing at its end, so that it has ``size`` bytes."""
    missing = size - len(content)
    return content + missing.to_bytes(4, "big") + b"free" + bytes(missing - 8)


def encode(pixels: np.ndarray) -> np.ndarray:
    """Returns (M, D) features of (M, n, n, 3) pictures: means of 16 tiles, projected."""
    tiles = (
        pixels.reshape(len(pixels), 4, SIDE // 4, 4, SIDE // 4, 3).mean(axis=(2, 4)).reshape(len(pixels), 48)
    )
    return (tiles @ PROJECTION / 255).astype(np.float16)


class QuickWorkerPool:
    """Stands for the worker processes: real decoding, `encode` for CLIP, in this process.

    Attributes:
        computed: How often each content (its sha256) became features.
        stop_after: Videos after which a SIGINT comes; None for never.
    """

    computed: ClassVar[Counter[str]] = Counter()
    stop_after: int | None = None
    options = PictureOptions(Preprocessing(SIDE))

    def __init__(self, settings: object) -> None:
        self.ready = WorkerReady(FINGERPRINT, "quick")
        self.counts = FrameCounts()
        self.losses = None
        self.remarks: list[str] = []

    def __enter__(self) -> QuickWorkerPool:
        return self

    def __exit__(self, *details: object) -> None:
        pass

    def finish(self) -> None:
        pass

    def work(self, videos: list[SourceVideo]) -> Iterator[VideoDone | VideoFailed | WorkerProgress]:
        for number, video in enumerate(videos):
            if self.stop_after == number:
                signal.raise_signal(signal.SIGINT)
            rows, video_info, failure = self.decode(video)
            if rows is not None and video_info is not None:
                QuickWorkerPool.computed[hashlib.sha256(video.path.read_bytes()).hexdigest()] += 1
                yield VideoDone(video, rows, video_info)
            if failure is not None:
                yield VideoFailed(failure)

    def decode(self, video: SourceVideo) -> tuple[VideoFeatures | None, VideoInfo | None, Failure | None]:
        chunks: list[np.ndarray] = []
        for item in decode_video(video, self.options):
            if isinstance(item, Chunk):
                chunks.append(item.pixels)
            elif item.restart:
                chunks = []
            else:
                end = item
        if end.rows is None or end.video_info is None:
            return None, None, end.failure
        features = encode(np.concatenate(chunks))[end.rows.picture]
        return VideoFeatures(features, end.rows.pts, end.rows.frame_index), end.video_info, end.failure


class CachingWorkerPool(QuickWorkerPool):
    """Decodes each content once, and takes what is true of the file from the file: what an extraction should give."""

    seen: ClassVar[dict[bytes, tuple[VideoFeatures | None, VideoInfo | None, Failure | None]]] = {}

    def work(self, videos: list[SourceVideo]) -> Iterator[VideoDone | VideoFailed | WorkerProgress]:
        for video in videos:
            content = video.path.read_bytes()
            if content not in self.seen:
                self.seen[content] = self.decode(video)
            rows, video_info, failure = self.seen[content]
            if rows is not None and video_info is not None:
                status = video.path.stat()
                video_info = dataclasses.replace(
                    video_info,
                    path=video.id,
                    root=os.path.realpath(str(video.path).removesuffix(video.id)),
                    size_bytes=status.st_size,
                    mtime_ns=status.st_mtime_ns,
                    content_sha256=hashlib.sha256(content).hexdigest(),
                )
                yield VideoDone(video, rows, video_info)
            if failure is not None:
                yield VideoFailed(dataclasses.replace(failure, id=video.id, path=str(video.path)))
