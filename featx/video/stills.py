"""One picture out of a video file, by its time."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.video.first_frame import (
    AS_FIRST_FRAME,
    LONGEST_REASON,
    NEAR_S,
    ONE_FRAME,
    RUN_UPS_S,
    first_reason,
    run_ffmpeg,
)

WIDEST = 4  # times the height
TIMEOUT_S = 60.0  # of ffmpeg, for one picture


class NoPicture(Exception):
    """A file has no picture that can be decoded there; the message says why."""


@dataclass(frozen=True)
class FileHints:
    """What is known of a video file before a frame of it is decoded.

    Attributes:
        stream: Number of the stream in the file; by default the one that ffmpeg chooses.
        frame_index: Which of the file's frames it is, for a file whose times step back: then the time is not looked
            at, and everything before is decoded.
        damaged: Whether the file is known to be damaged elsewhere.
    """

    stream: int | None = None
    frame_index: int | None = None
    damaged: bool = False


NO_HINTS = FileHints()


def decode_still(
    path: Path, time_s: float, height: int, file_times: bool, hints: FileHints = NO_HINTS
) -> np.ndarray:
    """Decodes the frame of a video that begins at a time.

    Args:
        path: A local video file.
        time_s: Seconds, as a store says of its rows; the first frame at or after it is taken.
        height: Of the picture in pixels; a frame more than four times as wide as it is high comes out lower.
        file_times: Whether that is a time as the file has it, else one since the file's start; see
            `featx.store.schema.StoreHeader.file_times`.
        hints: What else is known of the file.

    Returns:
        (height, width, 3) uint8, RGB.

    Raises:
        NoPicture: If the file is not a video, is damaged there, or ends before.
    """
    begin = time_s - NEAR_S
    strict = [] if hints.damaged else ["-xerror"]  # as in extraction: what was damaged has no features
    if hints.frame_index is not None:
        # One chain of filters for frames of all sizes, or they would be counted anew.
        in_order = ["-copyts", "-reinit_filter", "0"]
        return _decode(path, in_order, f"eq(n\\,{hints.frame_index})", height, hints.stream)[0]
    chosen = f"gte(t\\,{begin:.6f})"
    # ffmpeg adds the file's start to where it seeks, unless it is told that it is a time of the file.
    timeline = [*strict, "-copyts", *(["-seek_timestamp", "1"] if file_times else ["-start_at_zero"])]
    for run_up_s in RUN_UPS_S:
        if begin > run_up_s:
            seek = ["-noaccurate_seek", "-ss", f"{begin - run_up_s:.6f}"]
            try:
                picture, first_s = _decode(path, [*timeline, *seek], chosen, height, hints.stream)
            except NoPicture:
                continue
            # Transport and program streams have no index: decoding may begin too late, at the next key frame.
            if first_s <= time_s + NEAR_S:
                return picture
    # Some files (AVI with B-frames) give nothing after a seek: then everything before is decoded too.
    return _decode(path, timeline, chosen, height, hints.stream)[0]


def _decode(
    path: Path, from_where: list[str], chosen: str, height: int, stream: int | None
) -> tuple[np.ndarray, float]:
    """Returns the first frame that is chosen, and the time of the first frame that was decoded.

    Raises:
        NoPicture: If there is no such frame, or ffmpeg takes too long or breaks off.
    """
    # The bound on the width: any file may be given.
    box = f"w={WIDEST * height}:h={height}:force_original_aspect_ratio=decrease:force_divisible_by=2"
    filters = f"select={chosen},scale={box}:flags=bicubic"
    mapped = () if stream is None else ("-map", f"0:{stream}")
    only = (*mapped, "-an", "-sn", "-dn", *ONE_FRAME)

    def words(first: str) -> list[str]:
        return [
            *(*from_where, "-i", f"file:{path}"),
            *(*only, "-vf", filters, "-pix_fmt", "rgb24", "-f", "image2pipe", "-c:v", "ppm", "pipe:1"),
            *(*only, *AS_FIRST_FRAME, first),
        ]

    try:
        done, first_s = run_ffmpeg(words, TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise NoPicture(f"took longer than {TIMEOUT_S:.0f} s") from None
    kind, _, rest = done.stdout.partition(b"\n")
    if kind != b"P6":
        raise NoPicture(first_reason(done)[:LONGEST_REASON] or "there is no frame at that time or later")
    size, _, rest = rest.partition(b"\n")
    _, _, pixels = rest.partition(b"\n")  # the largest value, 255
    width, height = (int(number) for number in size.split())
    if len(pixels) != width * height * 3:
        raise NoPicture("ffmpeg broke off within the picture")
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3), first_s
