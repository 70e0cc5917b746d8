"""Pictures of YUV planes in integers against the real ffmpeg and Pillow: not one byte differs."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.clip.exact_pictures import MATRICES, ExactPictures, layout_of
from featx.clip.preprocess import Preprocessing, scale_and_crop
from featx.video.ffmpeg import ffmpeg_path


def rgb_of_ffmpeg(frame: np.ndarray, width: int, height: int, space: str) -> np.ndarray:
    """Converts one frame (bytes,) of limited range as the extraction's own command does it."""
    raw = ["-f", "rawvideo"]
    source = [*raw, "-pix_fmt", "yuv420p", "-s", f"{width}x{height}", "-i", "pipe:0"]
    tags = ["-vf", f"setparams=colorspace={space}:range=tv", "-pix_fmt", "rgb24"]
    command = [ffmpeg_path(), "-v", "error", *source, *tags, *raw, "pipe:1"]
    done = subprocess.run(command, input=frame.tobytes(), capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(height, width, 3)


def noise(width: int, height: int, seed: int) -> np.ndarray:
    """A frame (bytes,) of any values, also those outside the limited range."""
    size = width * height + 2 * -(-width // 2) * -(-height // 2)
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(8, 400),
    st.integers(4, 200).map(lambda half: 2 * half),
    st.sampled_from(sorted(MATRICES)),
    st.sampled_from([32, 64, 224]),
    st.integers(0, 99),
)
def test_bit_equal_to_ffmpeg_and_pillow(
    width: int, height: int, space: str, input_size: int, seed: int
) -> None:
    frame = noise(width, height, seed)
    layout = layout_of(width, height, "yuv420p", ("tv", space))
    if height > 2 * width:
        assert layout is None  # the order of Pillow's passes depends on its version
        return
    assert layout is not None
    ours = ExactPictures(layout, input_size)(torch.from_numpy(frame)[None])
    expected = scale_and_crop(rgb_of_ffmpeg(frame, width, height, space), Preprocessing(input_size))
    assert np.array_equal(ours[0].numpy(), expected)


@pytest.mark.parametrize(
    ("height", "pixel_format", "colours"),
    [
        (63, "yuv420p", ("tv", "bt709")),
        (64, "yuvj420p", ("pc", "bt709")),
        (64, "yuv420p", ("pc", "bt709")),
        (64, "yuv422p", ("tv", "bt709")),
        (64, "yuv444p", ("tv", "bt709")),
        (64, "yuv420p10le", ("tv", "bt709")),
        (64, "yuv420p", ("tv", "gbr")),
        (64, "yuv420p", ("tv", "ycgco")),
    ],
)
def test_what_is_not_exact_is_left_to_ffmpeg(
    height: int, pixel_format: str, colours: tuple[str, str]
) -> None:
    assert layout_of(80, height, pixel_format, colours) is None


INTERPRETED = """
import numpy as np, torch
from featx.clip.exact_kernels import pictures
from featx.clip.exact_pictures import ExactPictures, layout_of
for width, height, n, space in [(51, 30, 16, "bt709"), (24, 46, 32, "smpte170m"), (16, 16, 16, "fcc")]:
    tables = ExactPictures(layout_of(width, height, "yuv420p", ("tv", space)), n)
    size = tables.layout.size_bytes
    planes = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, size), dtype=np.uint8))
    assert torch.equal(pictures(tables, planes), tables.reference(planes)), (width, height)
print("equal")
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="there is no Triton for this system")
def test_kernels_equal_the_reference_in_tritons_interpreter() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", INTERPRETED], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "equal"
