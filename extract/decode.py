"""Decoding one video with an ffmpeg process: frames with their presentation times, or a clear error.

ffmpeg writes every frame as a PPM picture into a pipe. A PPM carries its own size, so a rotated video needs no
probing: what comes out is upright and says how large it is. Presentation times come through a second pipe.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from queue import SimpleQueue
from typing import IO

import numpy as np

from featx.ffmpeg import ffmpeg_path, kill

# A file may only be what its bytes say it is, and may name no other file: a "video" can be a playlist of
# file:///etc/passwd. Both lists are needed.
PROTOCOLS = "file,pipe"
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,ogg,m4v,h264,hevc,ivf,"
    "mxf,gif,rm,nut,wtv,dv,av1,obu,yuv4mpegpipe"
)
STDERR_LINES = 20
MEMORY_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
STDERR_LINE_BYTES = 400


class DecodeError(Exception):
    """A video could not be decoded to its end.

    Attributes:
        stage: `open` if no frame came out, else `decode`.
        stderr: The last lines that ffmpeg printed.
    """

    def __init__(self, message: str, stage: str, stderr: list[str]) -> None:
        super().__init__(message)
        self.stage = stage
        self.stderr = stderr


@dataclass(frozen=True)
class Frame:
    """One decoded frame: (height, width, 3) uint8 RGB, presentation time, and index in the source."""

    picture: np.ndarray
    pts_s: float
    index: int


def command(path: Path, pts_pipe: int) -> list[str]:
    """Returns the ffmpeg command that decodes every frame of the largest video stream of a file."""
    import ffmpeg

    source = ffmpeg.input(f"file:{path}", protocol_whitelist=PROTOCOLS, format_whitelist=DEMUXERS)
    # -xerror ends at the first damaged frame: ffmpeg would otherwise invent what is missing and report success.
    # Without passthrough, frames of a variable rate would be doubled or dropped to make the rate constant.
    output = ffmpeg.output(
        source,  # no stream is named: ffmpeg takes the largest picture
        "pipe:1",
        format="image2pipe",
        vcodec="ppm",
        pix_fmt="rgb24",
        fps_mode="passthrough",
        stats_enc_pre=f"pipe:{pts_pipe}",
        stats_enc_pre_fmt="{pts} {tb}",
    )
    return output.global_args("-nostdin", "-nostats", "-v", "error", "-xerror").compile(cmd=ffmpeg_path())


def decode(path: Path, timeout_s: float = 3600.0) -> Iterator[Frame]:
    """Yields every frame of a video, in order of presentation.

    Args:
        path: A local video file.
        timeout_s: Wall-clock limit for the whole video.

    Raises:
        DecodeError: After the good frames, if the file is damaged, not a video, or takes too long.
    """
    pts_read, pts_write = os.pipe()
    process = subprocess.Popen(
        command(path, pts_write),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(pts_write,),
        start_new_session=True,
    )
    os.close(pts_write)
    assert process.stdout is not None and process.stderr is not None
    last_words: deque[str] = deque(maxlen=STDERR_LINES)
    times: SimpleQueue[float | None] = SimpleQueue()
    readers = [
        threading.Thread(target=_keep_last_lines, args=(process.stderr, last_words), daemon=True),
        threading.Thread(target=_read_times, args=(os.fdopen(pts_read), times), daemon=True),
    ]
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        kill(process)

    clock = threading.Timer(timeout_s, expire)
    clock.daemon = True
    for thread in [*readers, clock]:
        thread.start()
    count = 0
    try:
        while (picture := _read_ppm(process.stdout)) is not None:
            pts_s = times.get()  # ffmpeg writes it before the picture
            if pts_s is None:
                break
            yield Frame(picture, pts_s, count)
            count += 1
        status = process.wait()
        for thread in readers:
            thread.join()
        stage = "decode" if count else "open"
        if expired.is_set():
            raise DecodeError(f"took longer than {timeout_s:.0f} s", stage, list(last_words))
        if status != 0:
            raise DecodeError(_reason(last_words, status), stage, list(last_words))
        if not count:
            raise DecodeError("no video frame in the file", "open", list(last_words))
    finally:
        clock.cancel()
        kill(process)
        process.stdout.close()


def _reason(last_words: deque[str], status: int) -> str:
    return last_words[0] if last_words else f"ffmpeg ended with status {status}"


def _keep_last_lines(stream: IO[bytes], lines: deque[str]) -> None:
    """Drains stderr: an undrained pipe would hang ffmpeg, and a broken file can make it talk for ever."""
    while line := stream.readline(STDERR_LINE_BYTES):
        text = MEMORY_ADDRESS.sub("", line.decode(errors="replace")).strip()
        if text:
            lines.append(text)
    stream.close()


def _read_times(stream: IO[str], times: SimpleQueue[float | None]) -> None:
    for line in stream:
        pts, time_base = line.split()
        times.put(float(int(pts) * Fraction(time_base)))
    times.put(None)
    stream.close()


def _read_ppm(stream: IO[bytes]) -> np.ndarray | None:
    """Reads one binary PPM; None at the end of the stream or for a half-written last frame."""
    if stream.readline() != b"P6\n":
        return None
    width, height = (int(number) for number in stream.readline().split())
    stream.readline()  # the largest value, 255
    content = stream.read(width * height * 3)
    if len(content) < width * height * 3:
        return None
    return np.frombuffer(content, np.uint8).reshape(height, width, 3)
