"""Decoder threads that turn videos into chunks of cropped frames, through one bounded queue.

A thread is enough for each: the decoding is done by its ffmpeg process, and scaling leaves the interpreter's lock.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Literal

import numpy as np

from featx.clip.exact_pictures import FrameLayout
from featx.clip.preprocess import Preprocessing, scale_and_crop
from featx.store.failures import Failure
from featx.store.schema import VideoInfo
from featx.store.source_files import FileState, content_sha256, state_of

from ..decoding.batch import BATCH, can_be_batched, decode_batch
from ..decoding.decode import Decoding, count_packets
from ..decoding.decoder_log import DecoderLog
from ..decoding.ffmpeg_args import DecodeOptions
from ..decoding.salvage import pictures, survey
from ..decoding.sampling import chosen_frames, rows_of
from ..decoding.times import FrameTimes
from ..decoding.video_errors import DecodeError, Irregular
from ..decoding.video_info import video_info_of
from ..plan.videos import SourceVideo
from .picture_maker import PictureMaker, Pixels

CHUNK_FRAMES = 32  # frames that a decoder hands over at once
PLANE_BYTES = 2**26  # of them, before they are pictures
CHUNKS_WAITING = 16  # bound of the queue: decoded frames must not pile up in memory


@dataclass(frozen=True)
class PictureOptions:
    """From a video to the encoder's input.

    Attributes:
        preprocessing: How a frame becomes the encoder's input.
        decode: How frames come out of ffmpeg.
        channel_order: `rgb`, or `bgr` to reproduce features that were made with swapped colours.
        on_damage: `keep` stores the good first part of a damaged video, `drop` nothing of it.
        retries: Further attempts in this run at a video whose decoder was killed.
        maker: Makes pictures of frames as decoded, with ``decode.planes``.
    """

    preprocessing: Preprocessing
    decode: DecodeOptions = field(default_factory=DecodeOptions)
    channel_order: Literal["rgb", "bgr"] = "rgb"
    on_damage: Literal["keep", "drop"] = "drop"
    retries: int = 2
    maker: PictureMaker | None = None


@dataclass
class Chunk:
    """Some pictures of one video: pixels (M, n, n, 3) uint8, on a GPU if they were made there."""

    video: SourceVideo
    pixels: Pixels
    from_planes: bool = False


@dataclass(frozen=True)
class RowSources:
    """What the R rows of a video are: picture (R,), presentation time in seconds (R,), frame index (R,)."""

    picture: np.ndarray
    pts: np.ndarray
    frame_index: np.ndarray


@dataclass
class VideoEnd:
    """A decoder's last word on a video: its rows and information, or why it failed, or both for a damaged one."""

    video: SourceVideo
    rows: RowSources | None = None
    video_info: VideoInfo | None = None
    failure: Failure | None = None
    restart: bool = False  # forget the chunks: they come once more


def decode_video(video: SourceVideo, options: PictureOptions) -> Iterator[Chunk | VideoEnd]:
    """Decodes one video into chunks of cropped frames, then says how it ended."""
    before = state_of(video.path)
    for attempt in range(options.retries + 1):
        for item in _attempt(video, options):
            if isinstance(item, Chunk) or (item.failure is None and item.rows is None):
                yield item
                continue
            if item.video_info is not None:
                item = _with_content(item, before)
            item.restart = item.restart and attempt < options.retries
            yield item
            if not item.restart:
                return


def _with_content(end: VideoEnd, before: FileState | None) -> VideoEnd:
    """Notes the content of the file that was decoded; one that was written meanwhile has not been decoded as it is."""
    video = end.video
    assert end.video_info is not None
    try:
        video_info = replace(end.video_info, content_sha256=content_sha256(video.path))
    except OSError as error:
        problem = f"cannot be read any more ({error.strerror})"
    else:
        after = state_of(video.path)
        if after == before == FileState(video_info.size_bytes, video_info.mtime_ns):
            return replace(end, video_info=video_info)
        problem = "changed while it was read"
    failure = Failure(video.id, str(video.path), "decode", problem, "nothing of it is stored", [])
    return VideoEnd(video, failure=failure)


def _attempt(video: SourceVideo, options: PictureOptions) -> Iterator[Chunk | VideoEnd]:
    decode = options.decode
    decoding = Decoding(video.path, decode)
    try:
        try:
            if decode.sampling.kind == "frames":
                decoding = yield from _even_frames(video, options)
            else:
                yield from _decoded(video, decoding, options)
            log, times, jumps = decoding.log, decoding.times, decoding.jumps
            yield _regular_end(video, log, times, jumps, decoding.pictures, options)
        except (Irregular, DecodeError) as trouble:
            if isinstance(trouble, DecodeError) and (trouble.killed or trouble.is_final):
                raise
            yield VideoEnd(video, restart=True)  # what came so far is looked at once more, frame by frame
            yield from _salvage(video, decoding, options)
    except DecodeError as error:
        outcome = "no frame decoded" if error.stage == "open" else "nothing of it is stored"
        failure = Failure(video.id, str(video.path), error.stage, str(error), outcome, error.stderr)
        yield VideoEnd(video, failure=failure, restart=error.killed)
    except OSError as error:
        yield VideoEnd(
            video, failure=Failure(video.id, str(video.path), "open", str(error), "no frame decoded", [])
        )


def _decoded(video: SourceVideo, decoding: Decoding, options: PictureOptions) -> Iterator[Chunk]:
    """Decodes: how the frames lie in memory is known with the first one."""
    frames = iter(decoding)
    first = list(islice(frames, 1))
    if decoding.layout is None:
        yield from _chunks(video, chain(first, frames), options)
    else:
        yield from _planes(video, chain(first, frames), decoding.layout, options)


def _chunks(video: SourceVideo, pictures: Iterable[np.ndarray], options: PictureOptions) -> Iterator[Chunk]:
    waiting: list[np.ndarray] = []
    for picture in pictures:
        waiting.append(_crop(picture, options))
        if len(waiting) == CHUNK_FRAMES:
            yield Chunk(video, np.stack(waiting))
            waiting = []
    if waiting:
        yield Chunk(video, np.stack(waiting))


def _planes(
    video: SourceVideo, frames: Iterator[np.ndarray], layout: FrameLayout, options: PictureOptions
) -> Iterator[Chunk]:
    """Makes pictures of frames as decoded; a chunk holds fewer where frames are large."""
    assert options.maker is not None
    most = max(1, min(CHUNK_FRAMES, PLANE_BYTES // layout.size_bytes))
    while several := list(islice(frames, most)):
        pixels = options.maker.make(several, layout)
        yield Chunk(video, pixels.flip(-1) if options.channel_order == "bgr" else pixels, from_planes=True)


def _even_frames(video: SourceVideo, options: PictureOptions) -> Generator[Chunk, None, Decoding]:
    # Packets are not always frames (hidden or split ones). What really comes out is counted on the way, and if it is
    # another number the middle frames are chosen again; so nothing is handed on before.
    options = replace(options, decode=replace(options.decode, planes=False))
    expected = count_packets(video.path, options.decode)
    decoding = Decoding(video.path, options.decode, expected)
    cropped = [_crop(picture, options) for picture in decoding]
    if len(decoding.times.pts) != expected:
        decoding = Decoding(video.path, decoding.options, len(decoding.times.pts))
        cropped = [_crop(picture, options) for picture in decoding]
    yield Chunk(video, np.stack(cropped))
    return decoding


def _crop(picture: np.ndarray, options: PictureOptions) -> np.ndarray:
    if options.decode.fast is None:
        picture = scale_and_crop(picture, options.preprocessing)
    return picture[..., ::-1] if options.channel_order == "bgr" else picture


def _regular_end(
    video: SourceVideo, log: DecoderLog, times: FrameTimes, jumps: int, pictures: int, options: PictureOptions
) -> VideoEnd:
    picture, frame_index = rows_of(options.decode.sampling, times, pictures)
    # with key frames only, times has an entry a picture; otherwise an entry a frame of the source
    entry = picture if times.index is not None else frame_index
    rows = RowSources(picture, times.seconds[entry], frame_index.astype(np.int32))
    return VideoEnd(video, rows, video_info_of(video, log, times, jumps))


def decode_small_videos(videos: list[SourceVideo], options: PictureOptions) -> Iterator[Chunk | VideoEnd]:
    """Decodes small videos together, or, where that will not do, one after another."""
    before = [state_of(video.path) for video in videos]
    decoded = decode_batch([video.path for video in videos], options.decode) if len(videos) > 1 else None
    if decoded is None:
        for video in videos:
            yield from decode_video(video, options)
        return
    for video, small, state in zip(videos, decoded, before, strict=True):
        yield from _chunks(video, small.pictures, options)
        end = _regular_end(video, small.log, small.times, 0, len(small.pictures), options)
        yield _with_content(end, state)


def _salvage(video: SourceVideo, decoding: Decoding, options: PictureOptions) -> Iterator[Chunk | VideoEnd]:
    """Decodes a video that is damaged, joined, or changes on the way: its true frames, and how much is missing.

    Raises:
        DecodeError: If no frame can be decoded truly, the file is out of bounds, or it is decoded otherwise than before.
    """
    # the stream that ffmpeg has chosen, or was told to take
    decode = replace(decoding.options, stream=decoding.log.stream)
    found = survey(video.path, decode, decoding.log.frames)
    wanted = chosen_frames(decode.sampling, found.times, found.frames.key)
    wanted = wanted[found.is_true[wanted]]
    if not len(wanted) and not found.is_damaged:
        said = list(found.complaints.last_lines)
        raise DecodeError("none of its frames can be decoded truly", "decode", said, is_final=True)
    failure = None
    if found.is_damaged:
        keeps = options.on_damage == "keep" and decode.sampling.kind != "frames" and len(wanted) > 0
        outcome = f"{int(found.is_true.sum())} frames are sound, {found.lost} are lost; "
        outcome += "the sound ones are stored" if keeps else "nothing of it is stored"
        complaints = found.complaints
        reason = complaints.first_error or "packets are missing in the file"
        last_lines = list(complaints.last_lines)
        failure = Failure(video.id, str(video.path), "decode", reason, outcome, last_lines)
        if not keeps:
            yield VideoEnd(video, failure=failure)
            return
    frames, picture = np.unique(wanted, return_inverse=True)
    is_wanted = np.isin(np.arange(len(found.frames)), frames)
    yield from _chunks(video, (p for n, p in pictures(video.path, decode, found) if is_wanted[n]), options)
    rows = RowSources(picture, found.times.seconds[wanted], wanted.astype(np.int32))
    concealed = found.lost + int(np.argmax(found.is_true))
    video_info = video_info_of(video, found.log, found.times, found.jumps, concealed, not found.is_damaged)
    yield VideoEnd(video, rows, video_info, failure)


class DecoderPool:
    """Threads that decode videos into one bounded queue; each waits on its own ffmpeg process."""

    def __init__(self, videos: Iterator[SourceVideo], threads: int, options: PictureOptions) -> None:
        self._jobs = videos
        self._options = options
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._queue: queue.Queue[Chunk | VideoEnd | BaseException | None] = queue.Queue(CHUNKS_WAITING)
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]

    def _work(self) -> None:
        try:
            if self._options.maker:
                self._options.maker.use_device()
            for videos in self._batches():
                for item in decode_small_videos(videos, self._options):
                    if not self._put(item):
                        return
        except BaseException as error:  # a defect of ours must end the run, not hang it
            self._put(error)
        finally:
            self._put(None)

    def _batches(self) -> Iterator[list[SourceVideo]]:
        """Yields small videos by the handful, others alone."""
        small: list[SourceVideo] = []
        while not self._stop.is_set():
            with self._lock:
                video = next(self._jobs, None)
            if video is not None and can_be_batched(video.path, self._options.decode):
                small.append(video)
                if len(small) < BATCH:
                    continue
                video = None
            elif video is None and not small:
                return
            if small:
                yield small
                small = []
            if video is not None:
                yield [video]

    def _put(self, item: Chunk | VideoEnd | BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Generator[Chunk | VideoEnd, None, None]:
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
