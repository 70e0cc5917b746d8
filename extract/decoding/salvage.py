"""Decoding a file that is damaged, joined, or changes on the way: first a survey, then the frames that are true.

The survey decodes everything, keeps no picture, and lists the packets. From both follows which frames can be
trusted: a frame is true if its own packet was decoded without an error and nothing was lost between it and the key
frame that it builds upon. What a decoder makes up around a loss is never taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .decoder_log import NO_TIME, DecoderLog, SourceFrames
from .ffmpeg_args import DecodeOptions, complaint_command, every_frame_command, frame_command
from .ffmpeg_process import FfmpegProcess
from .packets import PacketLines, Packets
from .times import FrameTimes, going_on
from .transport_stream import ends_within_picture, misses_within_pictures
from .video_errors import DecodeError, check_end, is_out_of_bounds

GAP_STEPS = 1.5  # times the usual step between two frames


@dataclass(frozen=True)
class Survey:
    """What decoding a whole file has shown.

    Attributes:
        log: What ffmpeg said of the file and its frames.
        complaints: What it said was wrong.
        frames: All N frames that came out.
        packets: The M packets of the stream.
        times: When the frames are shown.
        jumps: How often the file's times step back.
        is_true: (N,) bool, the frames that can be trusted.
        lost: Frames that did not come out, or cannot be trusted; without those in front of the first key frame.
        is_damaged: Whether the rows cannot be those of the whole video.
    """

    log: DecoderLog
    complaints: DecoderLog
    frames: SourceFrames
    packets: Packets
    times: FrameTimes
    jumps: int
    is_true: np.ndarray
    lost: int
    is_damaged: bool


def survey(path: Path, options: DecodeOptions, sound_frames: int = 0) -> Survey:
    """Decodes a file past any damage and says what of it is true.

    Args:
        path: A local video file.
        options: How to decode it; the stream is chosen.
        sound_frames: How many frames came out before the first error. In a file whose packets have no presentation
            times, so that no frame can be traced to its packet, these are the true ones.

    Raises:
        DecodeError: If no frame comes out, or the file is out of bounds.
    """
    log, complaints, lines = DecoderLog(), DecoderLog(options.stream), PacketLines()
    with FfmpegProcess(
        lambda pipe: frame_command(path, options),
        log,
        options.timeout_s,
        is_enough=lambda log: is_out_of_bounds(log, options),
    ) as process:
        status = process.wait()
    if status < 0 or process.stalled or not log.frames or is_out_of_bounds(log, options):
        check_end(log, status, process.stalled, options, log.frames)
    with FfmpegProcess(
        lambda pipe: complaint_command(path, options, pipe), complaints, options.timeout_s, lines.read
    ) as process:
        status = process.wait()
    if status < 0 or process.stalled:
        check_end(complaints, status, process.stalled, options, log.frames)
    frames, packets = log.source_frames(), lines.of()
    pts, jumps = going_on(frames.pts, frames.durations)
    times = FrameTimes(pts, int(frames.durations[-1]), frames.time_base)
    is_cut = log.container == "mpegts" and ends_within_picture(path, log.packet_id)
    if not complaints.errors and not complaints.corrupt_times and not is_cut:
        is_true, lost = np.ones(len(frames), bool), 0
    elif (packets.pts == NO_TIME).any():
        is_true = np.arange(len(frames)) < sound_frames
        lost = max(len(packets.shown), len(frames)) - int(is_true.sum())
    else:
        unsure, broken_behind = _gaps(path, packets, complaints, log.packet_id)
        unsure[-1:] |= is_cut
        is_true, lost = true_frames(frames, packets, unsure, broken_behind, complaints.errors > 0)
    # A recording that ends within a picture is as whole as one that begins in the middle.
    is_damaged = lost > is_cut or complaints.reading_errors > 0
    return Survey(log, complaints, frames, packets, times, jumps, is_true, lost, is_damaged)


def _gaps(path: Path, packets: Packets, log: DecoderLog, packet_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (M,) bool twice: packets that may miss something, and packets behind which something may be missing."""
    corrupt = np.isin(packets.decoding_times, np.array(sorted(log.corrupt_times - {NO_TIME}), np.int64))
    if NO_TIME in log.corrupt_times:
        # ffmpeg marks a packet too, but where it takes packets apart, the one in front of that which it means
        corrupt |= packets.corrupt
        corrupt[1:] |= packets.corrupt[:-1]
    unsure = corrupt.copy()
    if corrupt.any() and not log.errors and not misses_within_pictures(path, packet_id):
        unsure = np.zeros_like(corrupt)
    if log.reading_errors:
        skipped = _around_time_gaps(packets.pts)
        return unsure | skipped, corrupt | skipped
    return unsure, corrupt


def _around_time_gaps(pts: np.ndarray) -> np.ndarray:
    """Returns (M,) bool: packets from the one in front of a gap in the times to the one behind it, as they are decoded."""
    found = np.zeros(len(pts), bool)
    order = np.argsort(pts, kind="stable")
    steps = np.diff(pts[order])
    for place in np.flatnonzero(steps > GAP_STEPS * np.median(steps)) if len(steps) else []:
        first, last = sorted((int(order[place]), int(order[place + 1])))
        found[first : last + 1] = True
    return found


def true_frames(
    frames: SourceFrames,
    packets: Packets,
    unsure: np.ndarray,
    broken_behind: np.ndarray,
    has_errors: bool,
) -> tuple[np.ndarray, int]:
    """Says which frames can be trusted.

    Args:
        frames: All N frames that came out.
        packets: All M packets of the stream, in the order of decoding.
        unsure: (M,) bool, packets that may miss something.
        broken_behind: (M,) bool, packets behind which other packets may be missing.
        has_errors: Whether the decoder complained; a packet without a frame is a loss only then (some codecs have
            packets that show nothing).

    Returns:
        (N,) bool, and how many frames are lost: they did not come out, or are not to be trusted. Those in front of the
        first key frame are not counted: such a recording begins in the middle.
    """
    is_true = np.zeros(len(frames), bool)
    lost = 0  # since the first true frame
    is_broken = was_broken = True  # something is missing: since the last key frame; before it
    had_begun = False  # in front of the last key frame
    key_time = NO_TIME
    columns = (packets.pts, packets.key, packets.discarded, unsure, broken_behind)
    for frame, pts, is_key, is_cut, is_unsure, is_behind in zip(
        _frames_of_packets(frames.pts, packets.pts), *(column.tolist() for column in columns), strict=True
    ):
        if is_key and (is_cut or (frame >= 0 and frames.key[frame])):
            was_broken, is_broken, key_time, had_begun = is_broken, False, pts, bool(is_true.any())
        # What is shown before the key frame in front of it may build upon what lies behind that.
        builds_on_loss = is_broken or (was_broken and pts < key_time)
        if frame >= 0 and not builds_on_loss and not is_unsure:
            is_true[frame] = True
        elif frame >= 0 or (has_errors and not is_cut):
            lost += had_begun if pts < key_time else bool(is_true.any())
            is_broken = is_broken or not builds_on_loss
        is_broken = is_broken or is_behind
    return is_true, lost


def _frames_of_packets(frame_pts: np.ndarray, packet_pts: np.ndarray) -> list[int]:
    """Returns for each packet the number of its frame, or -1. A time that repeats counts only if all its frames came."""
    frames: dict[int, list[int]] = {}
    packets: dict[int, list[int]] = {}
    for number, pts in enumerate(frame_pts.tolist()):
        frames.setdefault(pts, []).append(number)
    for number, pts in enumerate(packet_pts.tolist()):
        packets.setdefault(pts, []).append(number)
    found = [-1] * len(packet_pts)
    for pts, numbers in packets.items():
        came = frames.get(pts, [])
        if len(came) == len(numbers):
            for number, frame in zip(numbers, came, strict=True):
                found[number] = frame
    return found


def pictures(path: Path, options: DecodeOptions, found: Survey) -> Iterator[tuple[int, np.ndarray]]:
    """Decodes the file again; yields the number of each true frame and its picture, (height, width, 3) uint8 RGB.

    Raises:
        DecodeError: If it is not decoded as in the survey.
    """
    log = DecoderLog()
    with FfmpegProcess(lambda pipe: every_frame_command(path, options), log, options.timeout_s) as process:
        shapes = zip(found.frames.sizes.tolist(), found.frames.aspects.tolist(), strict=True)
        for number, (size, aspect) in enumerate(shapes):
            width, height = options.picture_size(tuple(size), tuple(aspect))
            picture = np.empty((height, width, 3), np.uint8)
            if not process.read_into(picture.data.cast("B")):
                status = process.wait()
                check_end(log, status, process.stalled, options, number)
                raise DecodeError("it was decoded differently a second time", "decode", list(log.last_lines))
            if found.is_true[number]:
                yield number, picture
