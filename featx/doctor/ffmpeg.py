"""ffmpeg: which one is run, whether it gives back the pictures that a clip was made of, and what it cannot decode.

The clip is a few hundred bytes of H.264 with frames that refer to earlier and later ones, made of `known_frames` by
tools/make_doctor_clip.py.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from featx.doctor.check import Check, State
from featx.errors import FeatxError
from featx.video.ffmpeg import VARIABLE, ffmpeg_path, ffmpeg_version

CLIP = Path(__file__).parent / "clip.mp4"
SIDE, FRAMES = 64, 6  # pixels; frames of the clip
MOST_OFF = 3.0  # grey levels that encoding may cost, as a mean over a frame
SECONDS = 30.0
# What videos are mostly made of, and the decoders of which one is enough.
DECODERS = {
    "H.264": {"h264", "libopenh264"},
    "HEVC": {"hevc"},
    "AV1": {"libdav1d", "libaom-av1"},
    "VP9": {"vp9", "libvpx-vp9"},
    "VP8": {"vp8", "libvpx"},
    "MPEG-4": {"mpeg4"},
    "MPEG-2": {"mpeg2video"},
    "Motion JPEG": {"mjpeg"},
    "ProRes": {"prores"},
}


def known_frames() -> np.ndarray:
    """Returns the (6, 64, 64) uint8 grey pictures of the clip: a bright square that wanders over a dark ground."""
    frames = np.full((FRAMES, SIDE, SIDE), 40, np.uint8)
    for number, frame in enumerate(frames):
        frame[8 + 4 * number : 32 + 4 * number, 8 * number : 24 + 8 * number] = 200
    return frames


def check_ffmpeg(clip: Path = CLIP) -> list[Check]:
    """Decodes the clip, and looks which decoders there are.

    Args:
        clip: Made of `known_frames`.
    """
    try:
        path = ffmpeg_path()
    except (FeatxError, RuntimeError) as error:  # the latter is imageio-ffmpeg's
        return [_failure(str(error))]
    try:
        name = f"{ffmpeg_version()}, {path}"
        frames = _decoded(path, clip)
        missing = _missing_decoders(path)
    except (FeatxError, OSError, subprocess.SubprocessError) as error:
        return [_failure(f"{path}: {_reason(error)}")]
    known = known_frames()
    if len(frames) != len(known):
        return [_failure(f"{name}: a clip of {len(known)} frames came back as {len(frames)}")]
    off = np.abs(frames.astype(np.int16) - known).mean(axis=(1, 2)).max()
    if off > MOST_OFF:
        return [
            _failure(
                f"{name}: the frames of a clip came back as others (off by {off:.0f} of 255 grey levels)"
            )
        ]
    if missing:
        found = f"{name}: decodes the clip, but cannot decode {', '.join(missing)}"
        return [Check("ffmpeg", State.WARNING, found, f"videos of that kind will fail; {_advice()}")]
    return [Check("ffmpeg", State.OK, f"{name}: decodes what it should")]


def _decoded(path: str, clip: Path) -> np.ndarray:
    """Returns the clip's frames, (N, 64, 64) uint8 grey."""
    words = [path, "-v", "error", "-nostdin", "-i", str(clip), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    out = subprocess.run(words, capture_output=True, check=True, timeout=SECONDS).stdout
    size = SIDE * SIDE * 3
    frames = np.frombuffer(out, np.uint8)[: len(out) // size * size].reshape(-1, SIDE, SIDE, 3)
    return frames[..., 1]  # green, as good as any


def _missing_decoders(path: str) -> list[str]:
    """Returns what no decoder is there for."""
    words = [path, "-v", "error", "-nostdin", "-decoders"]
    said = subprocess.run(words, capture_output=True, check=True, timeout=SECONDS, text=True).stdout
    there = {line.split()[1] for line in said.splitlines() if len(line.split()) > 1}
    return [kind for kind, decoders in DECODERS.items() if not decoders & there]


def _failure(found: str) -> Check:
    return Check("ffmpeg", State.FAILURE, found, f"{_advice()}; or install featx again")


def _advice() -> str:
    return f"unset {VARIABLE} to use the one that comes with featx, or set it to another"


def _reason(error: Exception) -> str:
    """Returns the last line that ffmpeg said, or how it ended."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"did not end within {SECONDS:.0f} s"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    said: bytes | str = getattr(error, "stderr", b"") or b""
    lines = (said if isinstance(said, str) else said.decode(errors="replace")).strip().splitlines()
    if lines:
        return lines[-1]
    if isinstance(error, subprocess.CalledProcessError):
        return f"ended with code {error.returncode}"
    return str(error)
