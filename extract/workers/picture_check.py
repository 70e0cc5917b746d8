"""Shows, before a worker's first video, that pictures made of YUV planes are those of this machine's own programs.

`featx.clip.exact_pictures` restates the integer arithmetic of ffmpeg and Pillow. Another build of ffmpeg, another Pillow
or another GPU might compute otherwise, so a few frames of noise go both ways.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import numpy as np

from featx.clip.exact_pictures import MATRICES, FrameLayout, layout_of
from featx.clip.preprocess import Preprocessing, scale_and_crop
from featx.video.ffmpeg import ffmpeg_path

# (width, height): scaled down and up, lying and upright, an odd width, the tallest
SIZES = ((501, 300), (130, 244), (300, 600))
FFMPEG_SECONDS = 60.0


def first_difference(
    make: Callable[[list[np.ndarray], FrameLayout], np.ndarray], input_size: int
) -> str | None:
    """Compares pictures of noise with those of ffmpeg's RGB and Pillow.

    Args:
        make: Takes frames (bytes,) uint8 and their layout; returns (M, n, n, 3) uint8.
        input_size: n, the side of the pictures.

    Returns:
        None if all bytes are equal, else what differs.
    """
    noise = np.random.default_rng(0)
    for width, height in SIZES:
        layouts = {space: layout_of(width, height, "yuv420p", ("tv", space)) for space in MATRICES}
        first = next(iter(layouts.values()))
        assert first is not None
        frame = noise.integers(0, 256, first.size_bytes, dtype=np.uint8)
        try:
            converted = rgb_of(frame, width, height)
        except (OSError, subprocess.SubprocessError) as error:
            return f"ffmpeg does not convert frames to compare with ({error})"
        for space, layout in layouts.items():
            assert layout is not None
            if not np.array_equal(
                make([frame], layout)[0], scale_and_crop(converted[space], Preprocessing(input_size))
            ):
                return (
                    f"colours of {space} at {width}x{height} differ from those of {ffmpeg_path()} and Pillow"
                )
    return None


def rgb_of(frame: np.ndarray, width: int, height: int) -> dict[str, np.ndarray]:
    """Returns (height, width, 3) RGB of a frame (bytes,) as ffmpeg converts it, for each of its colour spaces.

    Raises:
        CalledProcessError: If ffmpeg fails.
        TimeoutExpired: If it hangs.
    """
    spaces = list(MATRICES)
    split = f"split={len(spaces)}" + "".join(f"[{space}]" for space in spaces)
    each = [f"[{space}]setparams=colorspace={space}:range=tv,format=rgb24[{space}_rgb]" for space in spaces]
    together = "".join(f"[{space}_rgb]" for space in spaces) + f"vstack={len(spaces)}"
    raw = ["-f", "rawvideo"]
    command = [ffmpeg_path(), "-hide_banner", "-v", "error", "-nostats", *raw, "-pix_fmt", "yuv420p"]
    command += [
        "-s",
        f"{width}x{height}",
        "-i",
        "pipe:0",
        "-filter_complex",
        ";".join([split, *each, together]),
    ]
    command += ["-frames:v", "1", "-pix_fmt", "rgb24", *raw, "pipe:1"]
    done = subprocess.run(
        command, input=frame.tobytes(), capture_output=True, check=True, timeout=FFMPEG_SECONDS
    )
    pictures = np.frombuffer(done.stdout, np.uint8).reshape(len(spaces), height, width, 3)
    return dict(zip(spaces, pictures, strict=True))
