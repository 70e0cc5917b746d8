"""Running ffmpeg for one part of a video, and learning when the first frame that it decoded is shown.

ffmpeg writes that frame in its framecrc format, which says its time, as a second output into a pipe.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from fractions import Fraction

from featx.video.ffmpeg import DEMUXERS, MEMORY_ADDRESS, PROTOCOLS, ffmpeg_path

NEAR_S = 0.001  # a frame that much before a time is its frame; no two frames are closer than twice that
RUN_UPS_S = (0.0, 10.0)  # how long before a frame decoding begins, where the first is too late the second
LONGEST_REASON = 200
HEAD = ("-nostdin", "-nostats", "-v", "error")
ONE_FRAME = ("-frames:v", "1", "-fps_mode", "passthrough")
AS_FIRST_FRAME = ("-enc_time_base", "demux", "-c:v", "wrapped_avframe", "-f", "framecrc")


def run_ffmpeg(
    words: Callable[[str], list[str]], timeout_s: float
) -> tuple[subprocess.CompletedProcess[bytes], float]:
    """Runs ffmpeg on local files only.

    Args:
        words: Returns its options, inputs and outputs; is given where the first frame's output goes, if there is one:
            `ONE_FRAME`, `AS_FIRST_FRAME` and that.
        timeout_s: After so many seconds it is killed.

    Returns:
        What it did, and when the first decoded frame is shown; infinity if there is none.

    Raises:
        subprocess.TimeoutExpired: If it takes longer.
    """
    read_end, write_end = os.pipe()
    safe = ("-protocol_whitelist", PROTOCOLS, "-format_whitelist", DEMUXERS)
    command = [ffmpeg_path(), *HEAD, *safe, *words(f"pipe:{write_end}")]
    with os.fdopen(read_end, "rb") as lines:  # of one frame, which is less than a pipe holds
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                pass_fds=[write_end],
            )
        finally:
            os.close(write_end)
        first_s = time_of_first_frame(lines.read().decode())
    return done, first_s


def first_reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """Returns the first line that ffmpeg said on standard error, which says what is wrong; empty if it said nothing."""
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return MEMORY_ADDRESS.sub("", said[0]) if said else ""


def time_of_first_frame(frame_lines: str) -> float:
    """Returns when the frame of ffmpeg's framecrc format is shown; infinity if there is none."""
    base = re.search(r"^#tb 0: (\d+/\d+)$", frame_lines, re.MULTILINE)
    frame = re.search(r"^0, *-?\d+, *(-?\d+),", frame_lines, re.MULTILINE)
    return float(int(frame[1]) * Fraction(base[1])) if base and frame else float("inf")
