"""Preprocessing is bit-equal to CLIP's own, whatever the picture's size."""

import numpy as np
import torch
from clip.clip import _transform
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from featx.clip.preprocess import normalise, scale_and_crop


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 500), st.integers(8, 500), st.sampled_from([64, 224, 288]), st.integers(0, 99))
def test_bit_equal_to_clip(height: int, width: int, input_size: int, seed: int) -> None:
    frame = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = _transform(input_size)(Image.fromarray(frame))
    pixels = scale_and_crop(frame, input_size)
    assert torch.equal(normalise(torch.from_numpy(pixels.copy())[None])[0], expected)
