"""One ffmpeg process of ours: its pipes are drained, and it is killed when nothing comes of it any more."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO

from featx.video.ffmpeg import kill

from .decoder_log import DecoderLog
from .video_errors import ERRORS_IN_A_ROW

# The largest that an unprivileged process may ask for: fewer switches between the processes.
PIPE_BYTES = 2**20
BLOCK_BYTES = 2**16


class FfmpegProcess:
    """A running ffmpeg; a context manager that leaves no process behind.

    Attributes:
        log: What it says.
        stalled: Whether it was killed because there was no further frame for too long, or nothing but errors.
    """

    def __init__(
        self,
        command: Callable[[int], list[str]],
        log: DecoderLog,
        timeout_s: float,
        on_packet_line: Callable[[str], None] | None = None,
        is_enough: Callable[[DecoderLog], bool] = lambda log: False,
    ) -> None:
        """Starts it.

        Args:
            command: Makes the command line, given the file descriptor for lines about packets.
            log: Takes what it prints.
            timeout_s: How long it may be waited for without a further frame.
            on_packet_line: Takes the lines about packets.
            is_enough: Asked after each part of the log; True ends the process.
        """
        self.log = log
        self.stalled = False
        self._timeout_s = timeout_s
        self._bytes_read = 0
        self._is_waited_for = False
        self._sign, self._errors_before = (0, 0), 0
        self._is_enough = is_enough
        self._has_frame = threading.Event()
        self._has_colours = threading.Event()
        self._ended = threading.Event()
        packet_in, packet_out = os.pipe()
        try:
            self._process = subprocess.Popen(
                command(packet_out),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(packet_out,),
                start_new_session=True,
            )
        except BaseException:
            os.close(packet_in)
            raise
        finally:
            os.close(packet_out)
        assert self._process.stdout is not None and self._process.stderr is not None
        self._output: IO[bytes] = self._process.stdout
        packets = os.fdopen(packet_in)
        self._readers = [threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True)]
        if on_packet_line:
            self._readers.append(
                threading.Thread(target=self._read_packets, args=(packets, on_packet_line), daemon=True)
            )
        else:
            packets.close()
        for thread in [*self._readers, threading.Thread(target=self._watch, daemon=True)]:
            thread.start()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def __enter__(self) -> FfmpegProcess:
        return self

    def __exit__(self, *details: object) -> None:
        self._ended.set()
        self.kill()
        self._output.close()
        for thread in self._readers:
            thread.join()

    def kill(self) -> None:
        """Ends it, and everything that it started."""
        kill(self._process)

    def read_into(self, buffer: memoryview) -> bool:
        """Fills a buffer with the next bytes of standard output; False if it ended before."""
        read = 0
        with self._waiting():
            while read < len(buffer):
                got = self._output.readinto(buffer[read:])  # type: ignore[attr-defined]
                if not got:
                    return False
                read += got
                self._bytes_read += got
        return True

    def read_up_to(self, limit_bytes: int) -> bytes | None:
        """Reads all of standard output; None if it is more than the limit."""
        blocks, size = [], 0
        with self._waiting():
            while block := self._output.read1(2**20):  # type: ignore[attr-defined]
                blocks.append(block)
                size += len(block)
                self._bytes_read = size
                if size > limit_bytes:
                    return None
        return b"".join(blocks)

    def read_lines(self, take: Callable[[str], None]) -> None:
        """Takes all of standard output as lines."""
        with self._waiting():
            for line in self._output:
                take(line.decode())
                self._bytes_read += len(line)

    def wait_for_frame(self) -> None:
        """Waits until the log tells of a frame, or ends."""
        with self._waiting():
            self._has_frame.wait()

    def wait_for_colours(self) -> None:
        """Waits until the log tells of the first frame's colours, or ends."""
        with self._waiting():
            self._has_colours.wait()

    def wait(self) -> int:
        """Waits for its end and returns its exit status, negative for a signal; all that it said was read."""
        with self._waiting():
            status = self._process.wait()
            for thread in self._readers:
                thread.join()
        return status

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        self._is_waited_for = True
        try:
            yield
        finally:
            self._is_waited_for = False

    @property
    def _progress(self) -> tuple[int, int]:
        """Changes whenever something comes of the process."""
        return self.log.frames, self._bytes_read

    def _watch(self) -> None:
        """Kills the process when it was waited for too long without a sign; time spent elsewhere does not count."""
        sign, since = (-1, -1), time.monotonic()
        while not self._ended.wait(min(self._timeout_s / 4, 1.0)):
            now = self._progress
            if now != sign or not self._is_waited_for:
                sign, since = now, time.monotonic()
            elif time.monotonic() - since > self._timeout_s:
                self.stalled = True
                self.kill()
                return

    def _read_log(self, stream: IO[bytes]) -> None:
        """Drains the log: an undrained pipe would hang ffmpeg, and a broken file can make it talk for ever."""
        with stream:
            while block := stream.read1(BLOCK_BYTES):  # type: ignore[attr-defined]
                self.log.feed(block)
                if self.log.frames:
                    self._has_frame.set()
                if self.log.colours:
                    self._has_colours.set()
                if self._is_enough(self.log) or self._complains_for_ever():
                    self.kill()
        self.log.close()
        self._has_frame.set()
        self._has_colours.set()

    def _complains_for_ever(self) -> bool:
        """Whether there is error after error and nothing else: on some damaged files ffmpeg turns in a circle."""
        if self._progress != self._sign:
            self._sign, self._errors_before = self._progress, self.log.errors
        if self.log.errors - self._errors_before <= ERRORS_IN_A_ROW:
            return False
        self.stalled = True
        return True

    def _read_packets(self, stream: IO[str], take: Callable[[str], None]) -> None:
        with stream:
            for line in stream:
                take(line)
                self._bytes_read += len(line)
