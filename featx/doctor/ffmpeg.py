"""ffmpeg: which one is run, and whether it gives back the pictures that a clip was made of."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from featx.doctor.check import Check, State
from featx.errors import FeatxError
from featx.video.ffmpeg import VARIABLE, ffmpeg_path, ffmpeg_version

SIDE, LEVELS = 64, (40, 120, 200, 80)  # pixels; the grey of each frame of the clip
MOST_OFF = 6  # grey levels that encoding may cost
SECONDS = 30.0


def check_ffmpeg() -> Check:
    """Makes a clip of four grey pictures and decodes it."""
    another = f"unset {VARIABLE} to use the one that comes with featx"
    try:
        path, version = ffmpeg_path(), ffmpeg_version()
    except (FeatxError, OSError) as error:
        return Check("ffmpeg", State.FAILURE, str(error), f"{another}, or install featx again")
    try:
        seen = _greys(path)
    except (OSError, subprocess.SubprocessError) as error:
        return Check("ffmpeg", State.FAILURE, f"{path} ({version}): {_reason(error)}", another)
    off = [abs(level - wanted) for level, wanted in zip(seen, LEVELS, strict=False)]
    if len(seen) != len(LEVELS) or max(off) > MOST_OFF:
        return Check(
            "ffmpeg",
            State.FAILURE,
            f"{path} ({version}): a clip of {len(LEVELS)} pictures came back as others",
            another,
        )
    return Check("ffmpeg", State.OK, f"{version}, {path}: decodes what it should")


def _greys(path: str) -> list[float]:
    """Returns the mean grey of each frame of a clip that was encoded and decoded."""
    raw = np.repeat(np.array(LEVELS, dtype=np.uint8), SIDE * SIDE * 3).tobytes()
    form = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIDE}x{SIDE}", "-r", "10"]
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "clip.avi")
        made = [path, "-v", "error", *form, "-i", "-", "-c:v", "mpeg4", "-q:v", "2", file]
        subprocess.run(made, input=raw, capture_output=True, check=True, timeout=SECONDS)
        read = [path, "-v", "error", "-nostdin", "-i", file, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        out = subprocess.run(read, capture_output=True, check=True, timeout=SECONDS).stdout
    frames = np.frombuffer(out, dtype=np.uint8)[: len(out) // (SIDE * SIDE * 3) * SIDE * SIDE * 3]
    means: list[float] = frames.reshape(-1, SIDE * SIDE * 3).mean(axis=1).tolist()
    return means


def _reason(error: Exception) -> str:
    """Returns the last line that ffmpeg said, or how it ended."""
    said: bytes = getattr(error, "stderr", b"") or b""
    lines = said.decode(errors="replace").strip().splitlines()
    if lines:
        return lines[-1]
    return (
        f"ended with code {error.returncode}"
        if isinstance(error, subprocess.CalledProcessError)
        else str(error)
    )
