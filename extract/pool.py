"""Decoder threads that turn videos into chunks of cropped frames, through one bounded queue.

A thread is enough for each: the decoding is done by its ffmpeg process, and scaling leaves the interpreter's lock.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from featx.clip.preprocess import scale_and_crop
from featx.extract.command import DecodeOptions
from featx.extract.decode import DecodeError, Decoding, count_packets
from featx.extract.sampling import rows_of
from featx.extract.videos import SourceVideo
from featx.store.failures import Failure
from featx.store.schema import VideoFacts

CHUNK_FRAMES = 32  # frames that a decoder hands over at once
CHUNKS_WAITING = 16  # bound of the queue: decoded frames must not pile up in memory


@dataclass(frozen=True)
class PictureOptions:
    """From a video to the encoder's input.

    Attributes:
        input_size: n, side of the encoder's input.
        decode: How frames come out of ffmpeg.
        channel_order: `rgb`, or `bgr` to reproduce features that were made with swapped colours.
        on_damage: `keep` stores the good first part of a damaged video, `drop` nothing of it.
        retries: Further attempts in this run at a video whose decoder was killed.
    """

    input_size: int
    decode: DecodeOptions = field(default_factory=DecodeOptions)
    channel_order: Literal["rgb", "bgr"] = "rgb"
    on_damage: Literal["keep", "drop"] = "drop"
    retries: int = 2


@dataclass
class Chunk:
    """Some pictures of one video: pixels (M, n, n, 3) uint8."""

    video: SourceVideo
    pixels: np.ndarray


@dataclass(frozen=True)
class Rows:
    """What the R rows of a video are: picture (R,), presentation time in seconds (R,), frame index (R,)."""

    picture: np.ndarray
    pts: np.ndarray
    frame_index: np.ndarray


@dataclass
class End:
    """A decoder's last word on a video: its rows and facts, or why it failed, or both for a damaged one."""

    video: SourceVideo
    rows: Rows | None = None
    facts: VideoFacts | None = None
    failure: Failure | None = None
    again: bool = False  # forget the chunks: they come once more


def decode_video(video: SourceVideo, options: PictureOptions) -> Iterator[Chunk | End]:
    """Decodes one video into chunks of cropped frames, then says how it ended."""
    for attempt in range(options.retries + 1):
        for item in _attempt(video, options):
            if isinstance(item, End) and item.again and attempt == options.retries:
                item.again = False
            yield item
            if isinstance(item, End) and not item.again:
                return


def _attempt(video: SourceVideo, options: PictureOptions) -> Iterator[Chunk | End]:
    decoding: Decoding | None = None
    waiting: list[np.ndarray] = []
    count = 0
    try:
        expected = 0
        if options.decode.sampling.kind == "frames":
            expected = count_packets(video.path, options.decode)
            # Packets are not always frames (hidden or split ones). What really comes out is counted on the way,
            # and if it is another number the middle frames are chosen again; so nothing is handed on before.
            decoding = Decoding(video.path, options.decode, expected)
            waiting = [_crop(picture, options) for picture in decoding]
            if len(decoding.times.pts) != expected:
                decoding = Decoding(video.path, options.decode, len(decoding.times.pts))
                waiting = [_crop(picture, options) for picture in decoding]
            count = len(waiting)
            yield Chunk(video, np.stack(waiting))
        else:
            decoding = Decoding(video.path, options.decode)
            for picture in decoding:
                waiting.append(_crop(picture, options))
                count += 1
                if len(waiting) == CHUNK_FRAMES:
                    yield Chunk(video, np.stack(waiting))
                    waiting = []
            if waiting:
                yield Chunk(video, np.stack(waiting))
        yield _whole(video, decoding, count, options)
    except DecodeError as error:
        keeps = count > 0 and options.on_damage == "keep" and options.decode.sampling.kind != "frames"
        keeps = keeps and not error.killed
        outcome = f"{count} frames decoded before the error; {'they are' if keeps else 'none of them'} stored"
        failure = Failure(
            video.id,
            str(video.path),
            error.stage,
            str(error),
            outcome if count else "no frame decoded",
            error.stderr,
        )
        if keeps and decoding is not None:
            if waiting:
                yield Chunk(video, np.stack(waiting))
            end = _whole(video, decoding, count, options)
            assert end.facts is not None
            yield replace(end, facts=replace(end.facts, complete=False), failure=failure)
        else:
            yield End(video, failure=failure, again=error.killed)
    except OSError as error:
        outcome = "no frame decoded"
        yield End(video, failure=Failure(video.id, str(video.path), "open", str(error), outcome, []))


def _crop(picture: np.ndarray, options: PictureOptions) -> np.ndarray:
    if options.decode.fast_size is None:
        picture = scale_and_crop(picture, options.input_size)
    return picture[..., ::-1] if options.channel_order == "bgr" else picture


def _whole(video: SourceVideo, decoding: Decoding, pictures: int, options: PictureOptions) -> End:
    times = decoding.times
    picture, frame_index = rows_of(options.decode.sampling, times, pictures)
    # with key frames only, times has an entry a picture; otherwise an entry a frame of the source
    entry = picture if times.index is not None else frame_index
    rows = Rows(picture, times.seconds[entry], frame_index.astype(np.int32))
    status = video.path.stat()
    width, height = decoding.size
    facts = VideoFacts(
        path=str(video.path),
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        width=width,
        height=height,
        duration_s=times.duration_s,
    )
    return End(video, rows, facts)


class DecoderPool:
    """Threads that decode videos into one bounded queue; each waits on its own ffmpeg process."""

    def __init__(self, videos: Iterator[SourceVideo], threads: int, options: PictureOptions) -> None:
        self._jobs = videos
        self._options = options
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._queue: queue.Queue[Chunk | End | BaseException | None] = queue.Queue(CHUNKS_WAITING)
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                with self._lock:
                    video = next(self._jobs, None)
                if video is None:
                    break
                for item in decode_video(video, self._options):
                    if not self._put(item):
                        return
        except BaseException as error:  # a defect of ours must end the run, not hang it
            self._put(error)
        finally:
            self._put(None)

    def _put(self, item: Chunk | End | BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Generator[Chunk | End, None, None]:
        """Yields what the decoders hand over, until all videos are done."""
        running = len(self._threads)
        for thread in self._threads:
            thread.start()
        try:
            while running:
                item = self._queue.get()
                if item is None:
                    running -= 1
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(timeout=10)
