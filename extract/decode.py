"""Decoding one video with an ffmpeg process: its pictures one by one, then what they are, or a clear error."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np

from featx.extract.command import DecodeOptions, count_command, decode_command
from featx.extract.sampling import FrameTimes
from featx.ffmpeg import kill

STDERR_LINES = 20
STDERR_LINE_BYTES = 400
MEMORY_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
PIPE_BYTES = (
    2**20
)  # the largest that an unprivileged process may ask for; fewer switches between the processes
KEY_FLAG, DISCARD_FLAG = 1, 4  # AV_PKT_FLAG_KEY; AV_PKT_FLAG_DISCARD: cut off by the file's edit list
NO_TIME = -(2**63)  # how ffmpeg writes a time that it does not know


class DecodeError(Exception):
    """A video could not be decoded to its end.

    Attributes:
        stage: `open` if no picture came out, else `decode`.
        stderr: The last lines that ffmpeg printed.
        killed: Whether ffmpeg was killed by somebody else, so that another attempt may succeed.
    """

    def __init__(self, message: str, stage: str, stderr: list[str], killed: bool = False) -> None:
        super().__init__(message)
        self.stage = stage
        self.stderr = stderr
        self.killed = killed


class FrameLines:
    """What ffmpeg says of each frame or packet (framecrc format), gathered while it runs."""

    def __init__(self) -> None:
        self.size = (0, 0)  # width, height of an upright frame
        self.time_base = Fraction(1)
        self.pts: list[int] = []
        self.key: list[bool] = []
        self.duration = 0

    def read(self, line: str) -> None:
        """Takes one line."""
        if line.startswith("#"):
            name, _, value = line[1:].partition(": ")
            if name == "tb 0":
                self.time_base = Fraction(value.strip())
            elif name == "dimensions 0":
                width, height = value.strip().split("x")
                self.size = int(width), int(height)
            return
        words = line.split(",")
        flags = [int(word.strip()[2:], 16) for word in words[6:] if word.strip().startswith("F=")]
        flag = flags[0] if flags else KEY_FLAG  # nothing is written when there is no other flag
        if flag & DISCARD_FLAG:
            return
        dts, pts, self.duration = (int(word) for word in words[1:4])
        self.pts.append(dts if pts == NO_TIME else pts)
        self.key.append(bool(flag & KEY_FLAG))

    def times(self, count: int | None = None, packets: FrameLines | None = None) -> FrameTimes:
        """Returns the times of the first ``count`` frames (of all); ``packets`` if these are key frames only."""
        pts = np.array(self.pts[:count], dtype=np.int64)
        if packets is None:
            return FrameTimes(pts, self.duration, self.time_base)
        all_pts = np.array(packets.pts)
        key = np.array(packets.key)
        # a packet's place in the order of presentation is the index of its frame
        index = np.argsort(np.argsort(all_pts, kind="stable"))[key]
        return FrameTimes(pts, self.duration, self.time_base, np.sort(index))


class Decoding:
    """One video being decoded: iterate over its pictures, then ask `times` and `size` what they are."""

    def __init__(self, path: Path, options: DecodeOptions, expected_frames: int = 0) -> None:
        """Prepares; nothing runs before the first picture is asked for.

        Args:
            path: A local video file.
            options: How to decode it.
            expected_frames: How many frames the video has; only sampling ``frames`` needs it, see `count_packets`.
        """
        self._path = path
        self._expected_frames = expected_frames
        self._options = options
        self._frames = FrameLines()
        self._packets = FrameLines()
        self._excess = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the video's upright frames in pixels."""
        return self._frames.size

    @property
    def times(self) -> FrameTimes:
        """The times of all frames decoded so far (of all key frames, if only they were asked for)."""
        return self._frames.times(
            packets=self._packets if self._options.sampling.kind == "keyframes" else None
        )

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields the chosen frames, (height, width, 3) uint8 RGB, in order of presentation.

        Raises:
            DecodeError: After the good frames, if the file is damaged, not a video, out of bounds, or takes too long.
        """
        options = self._options
        ends = [os.pipe(), os.pipe()]
        (frame_in, frame_out), (packet_in, packet_out) = ends
        try:
            process = subprocess.Popen(
                decode_command(self._path, options, self._expected_frames, frame_out, packet_out),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(frame_out, packet_out),
                start_new_session=True,
            )
        except BaseException:
            os.close(frame_in)
            os.close(packet_in)
            raise
        finally:
            os.close(frame_out)
            os.close(packet_out)
        assert process.stdout is not None and process.stderr is not None
        last_words: deque[str] = deque(maxlen=STDERR_LINES)
        readers = [
            threading.Thread(target=_keep_last_lines, args=(process.stderr, last_words), daemon=True),
            threading.Thread(target=self._read_frames, args=(os.fdopen(frame_in), process), daemon=True),
            threading.Thread(target=_read_lines, args=(os.fdopen(packet_in), self._packets), daemon=True),
        ]
        watchdog = Watchdog(process, options.timeout_s)
        for thread in [*readers, watchdog]:
            thread.start()
        with contextlib.suppress(OSError):
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        count = 0
        try:
            while True:
                with watchdog.waiting():
                    picture = _read_picture(process.stdout, options.fast_size)
                if picture is None:
                    break
                yield picture
                count += 1
            with watchdog.waiting():
                status = process.wait()
            for thread in readers:
                thread.join()
            stage = "decode" if count else "open"
            if watchdog.expired:
                raise DecodeError(f"took longer than {options.timeout_s:.0f} s", stage, list(last_words))
            if self._excess:
                raise DecodeError(self._excess, stage, list(last_words))
            if status != 0:
                raise DecodeError(_reason(last_words, status), stage, list(last_words), killed=status < 0)
            if not self._frames.pts:
                what = "no video frame in the file"
                if self._packets.pts:
                    what = "no key frame is shown: an edit list cuts them off; sample with --fps or --every"
                raise DecodeError(what, "open", list(last_words))
        finally:
            watchdog.stop()
            kill(process)
            process.stdout.close()

    def _read_frames(self, stream: IO[str], process: subprocess.Popen[bytes]) -> None:
        """Gathers what ffmpeg says of each frame; ends the process when the video is out of bounds."""
        options, frames = self._options, self._frames
        with stream:
            for line in stream:
                frames.read(line)
                if not frames.pts:
                    continue
                if len(frames.pts) > options.max_frames:
                    self._excess = f"more than {options.max_frames} frames; --max-frames allows more"
                elif (frames.pts[-1] - frames.pts[0]) * frames.time_base > options.max_duration_s:
                    self._excess = f"longer than {options.max_duration_s:.0f} s; --max-duration allows more"
                if self._excess:
                    kill(process)
                    return


class Watchdog(threading.Thread):
    """Kills a process that has been waited for too long in all; time spent elsewhere does not count."""

    def __init__(self, process: subprocess.Popen[bytes], timeout_s: float) -> None:
        super().__init__(daemon=True)
        self.expired = False
        self._process = process
        self._timeout_s = timeout_s
        self._waited_s = 0.0
        self._since: float | None = None
        self._stopped = threading.Event()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time within as waiting."""
        began = self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None
            self._waited_s += time.monotonic() - began

    def run(self) -> None:
        """Looks at the clock now and then."""
        while not self._stopped.wait(min(self._timeout_s / 4, 1.0)):
            since = self._since
            now = 0.0 if since is None else time.monotonic() - since
            if self._waited_s + now > self._timeout_s:
                self.expired = True
                kill(self._process)
                return

    def stop(self) -> None:
        """Ends the watch."""
        self._stopped.set()


def count_packets(path: Path, options: DecodeOptions) -> int:
    """Returns how many packets the video stream has, which is nearly always how many frames.

    Raises:
        DecodeError: If the file cannot be read.
    """
    try:
        done = subprocess.run(
            count_command(path, options),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=options.timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise DecodeError(f"took longer than {options.timeout_s:.0f} s", "open", []) from None
    if done.returncode:
        words = deque(_clean(line) for line in done.stderr[-4000:].splitlines()[-STDERR_LINES:])
        raise DecodeError(_reason(words, done.returncode), "open", list(words), killed=done.returncode < 0)
    packets = FrameLines()
    for line in done.stdout.decode().splitlines():
        packets.read(line)
    return len(packets.pts)


def _reason(last_words: deque[str], status: int) -> str:
    if status < 0:
        return f"the decoder was killed by signal {-status}"
    return last_words[0] if last_words else f"ffmpeg ended with status {status}"


def _clean(line: bytes) -> str:
    return MEMORY_ADDRESS.sub("", line.decode(errors="replace")).strip()


def _keep_last_lines(stream: IO[bytes], lines: deque[str]) -> None:
    """Drains stderr: an undrained pipe would hang ffmpeg, and a broken file can make it talk for ever."""
    with stream:
        while line := stream.readline(STDERR_LINE_BYTES):
            if text := _clean(line):
                lines.append(text)


def _read_lines(stream: IO[str], lines: FrameLines) -> None:
    with stream:
        for line in stream:
            lines.read(line)


def _read_picture(stream: IO[bytes], fast_size: int | None) -> np.ndarray | None:
    """Reads one binary PPM, or raw pixels of a known size; None at the end or for a half-written last picture."""
    height = width = fast_size or 0
    if fast_size is None:
        if stream.readline() != b"P6\n":
            return None
        width, height = (int(number) for number in stream.readline().split())
        stream.readline()  # the largest value, 255
    picture = np.empty((height, width, 3), np.uint8)
    view = picture.data.cast("B")
    read = 0
    while read < len(view):
        got = stream.readinto(view[read:])  # type: ignore[attr-defined]
        if not got:
            return None
        read += got
    return picture
