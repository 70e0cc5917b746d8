"""The extraction run: decoder threads fill a bounded queue, one encoder takes full batches from it.

A batch holds frames of whatever videos are at hand, so that short videos never leave the encoder half empty.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from featx.clip.preprocess import scale_and_crop
from featx.errors import FeatxError
from featx.extract.decode import DecodeError, decode
from featx.extract.failures import Failure
from featx.extract.videos import SourceVideo
from featx.store.schema import VideoFacts, VideoFeatures

CHUNK_FRAMES = 32  # frames that a decoder hands over at once
CHUNKS_WAITING = 16  # bound of the queue: decoded frames must not pile up in memory


@dataclass
class Chunk:
    """Some frames of one video, cropped: pixels (M, n, n, 3) uint8, times (M,) seconds, indices (M,)."""

    video: SourceVideo
    pixels: np.ndarray
    pts: np.ndarray
    frame_index: np.ndarray


@dataclass
class End:
    """A decoder's last word on a video: its facts, or why it failed."""

    video: SourceVideo
    facts: VideoFacts | None = None
    failure: Failure | None = None


@dataclass
class _Growing:
    """A video whose rows are being encoded."""

    pts: list[np.ndarray] = field(default_factory=list)
    frame_index: list[np.ndarray] = field(default_factory=list)
    features: list[np.ndarray] = field(default_factory=list)
    rows_waiting: int = 0
    end: End | None = None


@dataclass
class Counts:
    """What a run has done so far."""

    videos: int = 0
    failed: int = 0
    frames_decoded: int = 0
    frames_encoded: int = 0


def decode_video(video: SourceVideo, input_size: int, timeout_s: float) -> Iterator[Chunk | End]:
    """Decodes one video into chunks of cropped frames, then says how it ended."""
    pixels: list[np.ndarray] = []
    pts: list[float] = []
    width = height = count = 0

    def chunk() -> Chunk:
        index = np.arange(count - len(pixels), count, dtype=np.int32)
        whole = Chunk(video, np.stack(pixels), np.array(pts), index)
        pixels.clear()
        pts.clear()
        return whole

    times: list[float] = []
    try:
        for frame in decode(video.path, timeout_s):
            height, width = frame.picture.shape[:2]
            pixels.append(scale_and_crop(frame.picture, input_size))
            pts.append(frame.pts_s)
            times.append(frame.pts_s)
            count += 1
            if len(pixels) == CHUNK_FRAMES:
                yield chunk()
        if pixels:
            yield chunk()
        status = video.path.stat()
        # A frame is shown until the next one; the last one for as long as the usual frame.
        step_s = float(np.median(np.diff(times))) if count > 1 else 0.0
        facts = VideoFacts(
            path=str(video.path),
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            width=width,
            height=height,
            duration_s=times[-1] - times[0] + step_s,
        )
        yield End(video, facts=facts)
    except DecodeError as error:
        outcome = (
            f"{count} frames decoded before the error; none of them stored" if count else "no frame decoded"
        )
        yield End(
            video, failure=Failure(video.id, str(video.path), error.stage, str(error), outcome, error.stderr)
        )
    except OSError as error:
        yield End(
            video, failure=Failure(video.id, str(video.path), "open", str(error), "no frame decoded", [])
        )


class DecoderPool:
    """Threads that decode videos into one bounded queue; each waits on its own ffmpeg process."""

    def __init__(
        self, videos: Iterable[SourceVideo], threads: int, input_size: int, timeout_s: float
    ) -> None:
        self._jobs = iter(videos)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._queue: queue.Queue[Chunk | End | BaseException | None] = queue.Queue(CHUNKS_WAITING)
        self._threads = [
            threading.Thread(target=self._work, args=(input_size, timeout_s), daemon=True)
            for _ in range(threads)
        ]

    def _work(self, input_size: int, timeout_s: float) -> None:
        try:
            while not self._stop.is_set():
                with self._lock:
                    video = next(self._jobs, None)
                if video is None:
                    break
                for item in decode_video(video, input_size, timeout_s):
                    self._put(item)
                    if self._stop.is_set():
                        break
        except BaseException as error:  # a defect of ours: the run must end with it, not wait for ever
            self._put(error)
        self._put(None)

    def _put(self, item: Chunk | End | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.5)
                return
            except queue.Full:
                continue

    def __iter__(self) -> Iterator[Chunk | End]:
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


def run(
    items: Iterable[Chunk | End],
    encode: Callable[[np.ndarray], np.ndarray],
    batch_size: int,
    dtype: str,
    store: Callable[[SourceVideo, VideoFeatures, VideoFacts], None],
    fail: Callable[[Failure], None],
    progress: Callable[[Counts], None],
) -> Counts:
    """Encodes everything that the decoders hand over.

    Args:
        items: Chunks of frames of any videos, in each video's order, and an `End` for each video.
        encode: (B, n, n, 3) uint8 to (B, D) float32.
        batch_size: Frames in a batch.
        dtype: What features are stored as.
        store: Called with each video that is whole.
        fail: Called with each video that failed.
        progress: Called after every batch and every video.

    Returns:
        What was done.
    """
    counts = Counts()
    growing: dict[str, _Growing] = {}
    waiting: list[Chunk] = []
    frames_waiting = 0

    def finish(video_id: str) -> None:
        video = growing[video_id]
        if video.end is None or video.rows_waiting:
            return
        del growing[video_id]
        if video.end.failure is not None:
            counts.failed += 1
            fail(video.end.failure)
        else:
            assert video.end.facts is not None
            features = np.concatenate(video.features).astype(dtype)
            rows = VideoFeatures(features, np.concatenate(video.pts), np.concatenate(video.frame_index))
            store(video.end.video, rows, video.end.facts)
            counts.videos += 1
        progress(counts)

    def encode_batch(size: int) -> None:
        nonlocal frames_waiting
        parts: list[tuple[str, int]] = []
        pixels: list[np.ndarray] = []
        missing = size
        while missing:
            chunk = waiting[0]
            taken = min(missing, len(chunk.pixels))
            pixels.append(chunk.pixels[:taken])
            parts.append((chunk.video.id, taken))
            missing -= taken
            if taken == len(chunk.pixels):
                waiting.pop(0)
            else:
                chunk.pixels = chunk.pixels[taken:]
        features = encode(np.concatenate(pixels))
        frames_waiting -= size
        counts.frames_encoded += size
        start = 0
        for video_id, taken in parts:
            video = growing[video_id]
            video.features.append(features[start : start + taken])
            video.rows_waiting -= taken
            start += taken
            finish_later.append(video_id)
        while finish_later:
            video_id = finish_later.pop()
            if video_id in growing:
                finish(video_id)
        progress(counts)

    finish_later: list[str] = []
    for item in items:
        video = growing.setdefault(item.video.id, _Growing())
        if isinstance(item, Chunk):
            waiting.append(item)
            video.pts.append(item.pts)
            video.frame_index.append(item.frame_index)
            video.rows_waiting += len(item.pixels)
            frames_waiting += len(item.pixels)
            counts.frames_decoded += len(item.pixels)
            while frames_waiting >= batch_size:
                encode_batch(batch_size)
        else:
            video.end = item
            finish(item.video.id)
    while frames_waiting:
        encode_batch(min(batch_size, frames_waiting))
    if growing:
        raise FeatxError(f"internal: {len(growing)} videos were never finished")
    return counts
