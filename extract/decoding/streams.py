"""Which of a file's video streams is the video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .decoder_log import DecoderLog
from .ffmpeg_args import DecodeOptions, packet_command
from .ffmpeg_process import FfmpegProcess
from .packets import PacketLines
from .video_errors import DecodeError, check_end

COVERS = 0.9  # of the longest stream's time


@dataclass(frozen=True)
class VideoStream:
    """A video stream of a file: its number there, pixels of a frame, packets, and the seconds that they cover."""

    number: int
    pixels: int
    packets: int
    covered_s: float


def best_stream(streams: list[VideoStream]) -> int:
    """Returns the number of the stream to take.

    A stream that covers the file's time goes before one that does not: a still beside a moving picture, a preview of
    the beginning. Among those the one with the largest frames is taken, and of equal ones the first.
    """
    longest_s = max(stream.covered_s for stream in streams)
    moving = [each for each in streams if each.packets > 1 and each.covered_s >= COVERS * longest_s]
    return max(moving or streams, key=lambda stream: (stream.pixels, -stream.number)).number


def choose_stream(path: Path, options: DecodeOptions, log: DecoderLog) -> int | None:
    """Chooses among the video streams that ffmpeg found in a file; reads its packets if there are several.

    Returns:
        The stream's number in the file; None if ffmpeg listed none.

    Raises:
        DecodeError: If the file has nothing but cover pictures, or cannot be read.
    """
    pictures = [stream for stream in log.streams if stream.kind == "Video"]
    moving = [stream for stream in pictures if not stream.is_cover]
    if pictures and not moving:
        text = f"no video in the file, only a cover picture; --stream {pictures[0].number} takes that"
        raise DecodeError(text, "open", list(log.last_lines), is_final=True)
    if len(moving) < 2:
        return moving[0].number if moving else log.stream
    lines, listing = PacketLines(), DecoderLog()
    with FfmpegProcess(
        lambda pipe: packet_command(path, options, all_streams=True), listing, options.timeout_s
    ) as process:
        process.read_lines(lines.read)
        status = process.wait()
        if status or process.stalled:
            check_end(listing, status, process.stalled, options, 0)
    outputs = {stream.number: lines.of(output).shown for output, stream in enumerate(pictures)}
    return best_stream(
        [
            VideoStream(each.number, each.pixels, len(outputs[each.number]), outputs[each.number].covered_s)
            for each in moving
        ]
    )
