"""Many small videos through one ffmpeg: starting a process costs more than decoding such a file.

Only what is beyond doubt is taken: if anything at all is said against one of the files, or one is not as small as it
looked, every file of the batch is decoded alone, by `featx.extract.decoding.decode`, which also finds the words for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .decoder_log import DecoderLog
from .ffmpeg_args import DecodeOptions, batch_command
from .ffmpeg_process import FfmpegProcess
from .sampling import chosen_frames
from .times import FrameTimes, going_on
from .video_errors import is_out_of_bounds

BATCH = 8  # videos
SMALL_FILE_BYTES = 2**16
MAX_PIXEL_BYTES = 2**26  # of a batch: it lies in memory until all of it is there
MAX_LOG_BLOCKS = 1024
KINDS = ("every frame", "every", "fps")  # samplings that need nothing but one pass over the frames

# Sizes may differ from file to file, which the filter that puts videos one behind the other takes for an error.
_LOUD = re.compile(
    rb"^(?!\[Parsed_concat)[^\n]*\[(?:error|fatal|panic|warning)\] (?!deprecated pixel)", re.MULTILINE
)


@dataclass(frozen=True)
class SmallVideo:
    """A small video, decoded: what was said of it, when its frames are shown, and (P, height, width, 3) pictures."""

    log: DecoderLog
    times: FrameTimes
    pictures: np.ndarray


class _Text(DecoderLog):
    """A log that is only kept; of one that never ends the beginning is enough, since it is full of complaints."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[bytes] = []

    def feed(self, block: bytes) -> None:
        """Takes the next bytes."""
        if len(self.blocks) < MAX_LOG_BLOCKS:
            self.blocks.append(block)


def can_be_batched(path: Path, options: DecodeOptions) -> bool:
    """Whether a file may be decoded together with others."""
    try:
        return (
            options.stream is None
            and not options.hwaccel
            and options.sampling.kind in KINDS
            and path.stat().st_size <= SMALL_FILE_BYTES
        )
    except OSError:
        return False


def decode_batch(paths: list[Path], options: DecodeOptions) -> list[SmallVideo] | None:
    """Decodes small videos together; None if they have to be decoded alone."""
    text = _Text()
    with FfmpegProcess(lambda pipe: batch_command(paths, options), text, options.timeout_s) as process:
        pixels = process.read_up_to(MAX_PIXEL_BYTES)
        if pixels is None or process.wait() or process.stalled:
            return None
    logs = _logs(b"".join(text.blocks), len(paths))
    if logs is None:
        return None
    videos, left = [], memoryview(pixels)
    for log in logs:
        video, left = _video(log, left, options)
        if video is None:
            return None
        videos.append(video)
    return None if left else videos


def _logs(text: bytes, count: int) -> list[DecoderLog] | None:
    """Takes the log of several files apart; None if it holds a complaint of any kind."""
    if _LOUD.search(text):
        return None
    head, _, rest = text.partition(b"[info] Stream mapping:\n")
    sections = re.split(rb"^(?=\[info\] Input #\d+, )", head, flags=re.MULTILINE)[1:]
    frames: list[list[bytes]] = [[] for _ in range(count)]
    for line in rest.splitlines(keepends=True):
        if told := re.match(rb"\[showinfo@(\d+) ", line):
            frames[int(told[1])].append(line)
    if len(sections) != count:
        return None
    logs: list[DecoderLog] = []
    for number, section in enumerate(sections):
        own = section.replace(b"[info] Input #%d, " % number, b"[info] Input #0, ", 1)
        own = re.sub(rb"^(\[info\]   Stream #)%d:" % number, rb"\g<1>0:", own, flags=re.MULTILINE)
        mapped = re.search(rb"^\[info\]   Stream #%d:(\d+) [^\n]* -> " % number, rest, re.MULTILINE)
        if mapped is None:
            return None
        log = DecoderLog()
        log.feed(own + b"[info]   Stream #0:%s -> #0:0 \n" % mapped[1] + b"".join(frames[number]))
        log.close()
        logs.append(log)
    return logs


def _video(
    log: DecoderLog, pixels: memoryview, options: DecodeOptions
) -> tuple[SmallVideo | None, memoryview]:
    """Takes a video from the front of the pixels; None if there is any doubt about it."""
    width, height = options.picture_size(log.first_size, log.first_aspect)
    frames = log.source_frames()
    if not width or log.graphs != 1 or log.errors or log.container == "mpegts":
        return None, pixels
    if sum(stream.kind == "Video" for stream in log.streams) != 1 or is_out_of_bounds(log, options):
        return None, pixels
    pts, jumps = going_on(frames.pts, frames.durations)
    if jumps:
        return None, pixels
    times = FrameTimes(pts, int(frames.durations[-1]), frames.time_base)
    count = len(chosen_frames(options.sampling, times, frames.key))
    size = count * height * width * 3
    if len(pixels) < size:
        return None, pixels
    pictures = np.frombuffer(pixels[:size], np.uint8).reshape(count, height, width, 3)
    return SmallVideo(log, times, pictures), pixels[size:]
