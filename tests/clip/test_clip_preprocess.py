"""Preprocessing is bit-equal to CLIP's own, whatever the picture's size."""

import subprocess

import numpy as np
import pytest
import torch
from clip.clip import _transform
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import resize

from featx.clip.preprocess import (
    Preprocessing,
    fast_filter,
    mean_and_deviation,
    normalise,
    scale_and_crop,
    way_of,
)
from featx.video.ffmpeg import ffmpeg_path


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 500), st.integers(8, 500), st.sampled_from([64, 224, 288]), st.integers(0, 99))
def test_bit_equal_to_clip(height: int, width: int, input_size: int, seed: int) -> None:
    frame = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = _transform(input_size)(Image.fromarray(frame))
    pixels = scale_and_crop(frame, Preprocessing(input_size))
    assert torch.equal(
        normalise(torch.from_numpy(pixels.copy())[None], mean_and_deviation(Preprocessing(input_size)))[0],
        expected,
    )


KINDS = [
    Preprocessing(224),
    Preprocessing(224, 256, kernel="bilinear", mean=(0, 0, 0), deviation=(1, 1, 1)),
    Preprocessing(64, 72, half_pixels="down"),
    Preprocessing(64, squash=True, mean=(0.5, 0.5, 0.5), deviation=(0.5, 0.5, 0.5)),
    Preprocessing(289, 346, squash=True, kernel="lanczos"),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@settings(max_examples=15, deadline=None)
@given(st.integers(8, 500), st.integers(8, 500))
def test_each_kind_is_what_torchvision_and_a_plain_crop_do(kind, height: int, width: int) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    to = kind.scaled or kind.size
    scaled = resize(
        Image.fromarray(frame), [to, to] if kind.squash else to, InterpolationMode[kind.kernel.upper()]
    )
    left, top = (
        (side - kind.size) // 2 if kind.half_pixels == "down" else round((side - kind.size) / 2)
        for side in scaled.size
    )
    expected = np.asarray(scaled)[top : top + kind.size, left : left + kind.size]
    np.testing.assert_array_equal(scale_and_crop(frame, kind), expected)


def test_a_name_says_all_of_it_and_the_way() -> None:
    names = {kind.name(way) for kind in KINDS for way in ("exact", "fast")}
    assert len(names) == 2 * len(KINDS)
    assert Preprocessing(224).name() == "clip-exact" and Preprocessing(224).name("fast") == "ffmpeg-fast"
    assert (
        KINDS[3].name()
        == "exact: bicubic, squashed to 64, centre 64, mean 0.5/0.5/0.5, deviation 0.5/0.5/0.5"
    )
    for kind in KINDS:
        assert way_of(kind.name()) == "exact" and way_of(kind.name("fast")) == "fast"
    assert way_of("unknown") is None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.can_be_fast], ids=str)
@pytest.mark.parametrize("size", [(340, 256), (568, 320), (201, 333)], ids=str)
def test_ffmpeg_comes_near(kind: Preprocessing, size: tuple[int, int]) -> None:
    width, height = size
    rough = np.random.default_rng(0).integers(0, 256, (height // 9, width // 9, 3), dtype=np.uint8)
    frame = np.asarray(Image.fromarray(rough).resize(size, Image.Resampling.BICUBIC))
    command = [ffmpeg_path(), "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-i", "-",
               "-vf", fast_filter(kind), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]  # fmt: skip
    done = subprocess.run(command, input=frame.tobytes(), capture_output=True, check=True)
    fast = np.frombuffer(done.stdout, np.uint8).reshape(kind.size, kind.size, 3)
    error = (fast.astype(float) - scale_and_crop(frame, kind)) ** 2
    assert error.mean() < 255**2 / 10 ** (52 / 10)  # real clips reach 55 dB
