"""Encodes rendered frames as a real H.264 mp4 file with the bundled ffmpeg."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from featx.errors import FeatxError
from featx.video.ffmpeg import ffmpeg_path

from .render import render
from .world import Scene

ENCODE_TIMEOUT_S = 600.0


def encode(scene: Scene, to: Path, quality: int) -> None:
    """Renders a scene into an mp4 file; the same scene and ffmpeg give the same bytes.

    Args:
        scene: What is to be seen.
        to: The file to write; its folder must exist.
        quality: x264's constant rate factor: 18 looks flawless, 32 blurred.

    Raises:
        FeatxError: If ffmpeg fails, for instance because the disk is full.
    """
    import ffmpeg

    source = ffmpeg.input(
        "pipe:0", format="rawvideo", pix_fmt="rgb24", s=f"{scene.width}x{scene.height}", r=scene.fps
    )
    output = ffmpeg.output(
        source,
        f"file:{to}",
        vcodec="libx264",
        preset="veryfast",
        crf=quality,
        pix_fmt="yuv420p",
        threads=1,  # x264 divides a picture among its threads: another number would be another file
        flags="+bitexact",
        fflags="+bitexact",
    )
    command = output.global_args("-nostats", "-v", "error", "-y").compile(cmd=ffmpeg_path())
    frames = b"".join(np.asarray(picture).tobytes() for picture in render(scene))
    result = subprocess.run(command, input=frames, capture_output=True, timeout=ENCODE_TIMEOUT_S)
    if result.returncode:
        raise FeatxError(f"{to}: cannot write the video ({result.stderr.decode(errors='replace').strip()})")
