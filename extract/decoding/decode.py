"""Decoding one regular video with an ffmpeg process: its pictures one by one, then what they are, or a clear error.

A file that is damaged, whose frames change their size on the way, or whose times step back where frames are chosen by
time, is noticed here and decoded by `featx.extract.decoding.salvage`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from featx.clip.exact_pictures import FrameLayout, layout_of

from .decoder_log import DecoderLog
from .ffmpeg_args import DecodeOptions, packet_command, picture_command
from .ffmpeg_process import FfmpegProcess
from .packets import PacketLines
from .streams import choose_stream
from .times import FrameTimes, going_on
from .transport_stream import ends_within_picture
from .video_errors import Irregular, check_end, is_out_of_bounds


class Decoding:
    """One video being decoded: iterate over its pictures; at the end, the attributes say what they are.

    Attributes:
        options: How it is decoded; names the stream once it is chosen.
        log: What ffmpeg said of it.
        times: When all its frames are shown (all key frames, if only they were asked for).
        jumps: How often the times of the file step back.
        pictures: How many pictures came out.
        layout: How the frames lie in memory if they are handed over as decoded; None if as RGB. Known with the first.
    """

    times: FrameTimes

    def __init__(self, path: Path, options: DecodeOptions, expected_frames: int = 0) -> None:
        """Prepares; nothing runs before the first picture is asked for.

        Args:
            path: A local video file.
            options: How to decode it; if they name no stream, it is chosen.
            expected_frames: How many frames the video has; only sampling ``frames`` needs it, see `count_packets`.
        """
        self.options = options
        self.log = DecoderLog()
        self.jumps = 0
        self.pictures = 0
        self.layout: FrameLayout | None = None
        self._path = path
        self._expected_frames = expected_frames
        self._packets = PacketLines()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields the chosen frames, (height, width, 3) uint8 RGB, in order of presentation.

        With ``options.planes`` and a ``layout``, they are (bytes,) uint8 instead.

        Raises:
            DecodeError: After the good frames, if the file is damaged, not a video, out of bounds, or takes too long.
            Irregular: If the file needs a closer look, and what was yielded must be forgotten.
        """
        with self._start() as process:
            if (better := self._better_options(process)) is None:
                yield from self._read_pictures(process)
        if better is not None:
            self.options = better
            with self._start() as process:
                yield from self._read_pictures(process)
        self._conclude()

    def _start(self) -> FfmpegProcess:
        self._packets = PacketLines()
        self.log = DecoderLog()

        def command(pipe: int) -> list[str]:
            return picture_command(self._path, self.options, self._expected_frames, pipe)

        def is_enough(log: DecoderLog) -> bool:
            return is_out_of_bounds(log, self.options)

        return FfmpegProcess(command, self.log, self.options.timeout_s, self._packets.read, is_enough)

    def _better_options(self, process: FfmpegProcess) -> DecodeOptions | None:
        """Returns how to decode instead, if ffmpeg has begun with another stream, or with planes that must be RGB."""
        stream = self._other_stream(process)
        if stream is not None:  # its frames have not been seen
            return replace(self.options, stream=stream, planes=False)
        if not self.options.keeps_planes:
            return None
        process.wait_for_colours()
        self.layout = _layout(self.log)
        return None if self.layout else replace(self.options, planes=False)

    def _other_stream(self, process: FfmpegProcess) -> int | None:
        """Returns the stream to take, if ffmpeg has begun with another one."""
        if self.options.stream is not None:
            return None
        process.wait_for_frame()
        choice = choose_stream(self._path, self.options, self.log)
        if choice == self.log.stream or choice is None:
            return None
        return choice

    def _read_pictures(self, process: FfmpegProcess) -> Iterator[np.ndarray]:
        process.wait_for_frame()
        width, height = self.options.picture_size(self.log.first_size, self.log.first_aspect)
        while width:
            shape = (self.layout.size_bytes,) if self.layout else (height, width, 3)
            picture = np.empty(shape, np.uint8)
            if not process.read_into(picture.data.cast("B")):
                break
            yield picture
            self.pictures += 1
            self._check_regular()
        status = process.wait()
        self._check_regular()
        check_end(self.log, status, process.stalled, self.options, self.pictures)
        if self.log.errors:
            # Some decoders complain of what is missing, make it up, and call that success.
            raise Irregular(self.log.first_error)
        if self.log.container == "mpegts" and ends_within_picture(self._path, self.log.packet_id):
            raise Irregular("its last picture may be cut off")

    def _check_regular(self) -> None:
        if self.log.graphs > 1:
            raise Irregular("its frames change their size or colours")

    def _conclude(self) -> None:
        frames = self.log.source_frames()
        pts, self.jumps = going_on(frames.pts, frames.durations)
        kind, index = self.options.sampling.kind, None
        if self.jumps and kind in ("fps", "keyframes"):
            raise Irregular("its times step back")
        if kind == "keyframes":
            packets = self._packets.of().shown
            # a packet's place in the order of presentation is the index of its frame
            places = np.argsort(np.argsort(packets.pts, kind="stable"), kind="stable")
            index = np.sort(places[packets.key])[: len(frames)]
            if len(index) < len(frames):
                raise Irregular("its packets do not say which of its frames are key frames")
        self.times = FrameTimes(pts, int(frames.durations[-1]), frames.time_base, index)


def _layout(log: DecoderLog) -> FrameLayout | None:
    if log.is_turned or log.colours is None or not log.frames:
        return None
    return layout_of(*log.first_size, log.pixel_format, log.colours)


def count_packets(path: Path, options: DecodeOptions) -> int:
    """Returns how many packets the video stream has, which is nearly always how many frames.

    Raises:
        DecodeError: If the file cannot be read.
    """
    lines, log = PacketLines(), DecoderLog()
    with FfmpegProcess(lambda pipe: packet_command(path, options), log, options.timeout_s) as process:
        process.read_lines(lines.read)
        status = process.wait()
        if status or process.stalled:
            check_end(log, status, process.stalled, options, 0)
    return len(lines.of().shown)
