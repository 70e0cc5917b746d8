"""One picture out of a video file, by its time."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np

from featx.ffmpeg import DEMUXERS, PROTOCOLS, ffmpeg_path

BEFORE_S = 0.001  # seeking stops at the first frame from there on; no two frames are closer than twice that
LONGEST_REASON = 200
WIDEST = 4  # times the height
MEMORY_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")


class NoPicture(Exception):
    """A file has no picture that can be decoded there; the message says why."""


def decode_still(path: Path, time_s: float, height: int, timeout_s: float = 60.0) -> np.ndarray:
    """Decodes the frame of a video that begins at a time.

    Args:
        path: A local video file.
        time_s: Seconds, as a store says of its rows; the first frame at or after it is taken.
        height: Of the picture in pixels; a frame more than four times as wide as it is high comes out lower.
        timeout_s: How long ffmpeg may take.

    Returns:
        (height, width, 3) uint8, RGB.

    Raises:
        NoPicture: If the file is not a video, is damaged there, or ends before.
    """
    begin = max(time_s - BEFORE_S, 0.0)
    try:
        return _decode(path, ["-ss", f"{begin:.6f}"], "", height, timeout_s)
    except NoPicture:
        # Some files (AVI with B-frames) give nothing after a seek: then everything before is decoded too.
        return _decode(path, [], f"select=gte(t\\,{begin:.6f}),", height, timeout_s)


def _decode(path: Path, seek: list[str], select: str, height: int, timeout_s: float) -> np.ndarray:
    # -xerror as in extraction: what was damaged has no features. The bound on the width: any file may be given.
    box = f"w={WIDEST * height}:h={height}:force_original_aspect_ratio=decrease:force_divisible_by=2"
    picture = {"-frames:v": "1", "-vf": f"{select}scale={box}:flags=bicubic", "-pix_fmt": "rgb24"}
    command = [
        *(ffmpeg_path(), "-nostdin", "-nostats", "-v", "error", "-xerror"),
        *("-protocol_whitelist", PROTOCOLS, "-format_whitelist", DEMUXERS),
        *(*seek, "-i", f"file:{path}"),
        *(word for option in picture.items() for word in option),
        *("-an", "-sn", "-dn", "-f", "image2pipe", "-c:v", "ppm", "pipe:1"),
    ]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise NoPicture(f"took longer than {timeout_s:.0f} s") from None
    kind, _, rest = done.stdout.partition(b"\n")
    if kind != b"P6":
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = MEMORY_ADDRESS.sub("", said[0])[:LONGEST_REASON] if said else ""
        raise NoPicture(reason or "there is no frame at that time or later")
    size, _, rest = rest.partition(b"\n")
    _, _, pixels = rest.partition(b"\n")  # the largest value, 255
    width, height = (int(number) for number in size.split())
    if len(pixels) != width * height * 3:
        raise NoPicture("ffmpeg broke off within the picture")
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
