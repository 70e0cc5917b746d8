"""The image encoder against OpenAI's at full size, and checkpoints in each form that OpenAI's come in."""

from pathlib import Path

import clip
import numpy as np
import pytest
import torch
from clip.model import CLIP
from PIL import Image

from featx.clip.preprocess import Preprocessing, scale_and_crop
from featx.encoders.images import ImageEncoder
from featx.encoders.load import load_model
from featx.encoders.openai import of_module


def test_vit_b_16_at_full_size_with_random_weights() -> None:
    torch.manual_seed(0)
    model = CLIP(512, 224, 12, 768, 16, 77, 49408, 512, 8, 12).float().eval()
    loaded = of_module(model)
    frames = np.random.default_rng(0).integers(0, 256, (2, 300, 400, 3), dtype=np.uint8)
    preprocess = clip.clip._transform(224)
    with torch.inference_mode():
        expected = model.encode_image(torch.stack([preprocess(Image.fromarray(frame)) for frame in frames]))
    ours = ImageEncoder(loaded).encode(
        np.stack([scale_and_crop(frame, Preprocessing(224)) for frame in frames])
    )
    assert ours.shape == (2, 512) and ours.std() > 0.01
    np.testing.assert_allclose(ours, expected.numpy(), atol=1e-5)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_jit_archive_is_the_same_clip_as_its_state_dict(tmp_path: Path) -> None:
    tiny = load_model("tiny")
    traced = torch.jit.trace(
        tiny.model, (torch.zeros(1, 3, 64, 64), torch.zeros(1, 77, dtype=torch.long)), check_trace=False
    )
    traced.save(tmp_path / "archive.pt")
    loaded = load_model(str(tmp_path / "archive.pt"))
    assert loaded.weights_sha256 == tiny.weights_sha256
    assert (loaded.name, loaded.input_size, loaded.width) == ("archive", 64, 128)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_frames_features_do_not_depend_on_its_batch(threads: int) -> None:
    """To the bit, at ViT-B/16's width: otherwise interrupted and resumed runs would differ."""
    torch.manual_seed(0)
    model = CLIP(512, 224, 2, 768, 16, 77, 49408, 512, 8, 1).float().eval()
    encoder = ImageEncoder(of_module(model))
    frames = np.random.default_rng(0).integers(0, 256, (40, 224, 224, 3), dtype=np.uint8)
    before = torch.get_num_threads()
    try:
        whole = encoder.encode(frames)
        torch.set_num_threads(threads)
        for count in (1, 9, 21):
            np.testing.assert_array_equal(encoder.encode(frames[-count:]), whole[-count:])
    finally:
        torch.set_num_threads(before)


def test_a_picture_that_is_looked_for_is_made_in_the_stores_precision(tmp_path: Path) -> None:
    from featx.evaluate.search.queries import encode_images
    from featx.store.schema import Fingerprint

    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    tiny = load_model("tiny")
    same = {"model": "tiny", "weights_sha256": tiny.weights_sha256, "input_size": 64, "width": 128}
    made = {}
    for precision in ("fp32", "bf16", "fp16", "unknown"):
        fingerprint = Fingerprint(**same, precision=precision)
        made[precision] = encode_images([tmp_path / "a.png"], load_model("tiny"), fingerprint, "cpu").numpy()
    rows = ImageEncoder(load_model("tiny"), "cpu", "bf16").encode(pixels[None])
    np.testing.assert_allclose(made["bf16"], rows / np.linalg.norm(rows), atol=1e-7)
    assert np.abs(made["bf16"] - made["fp32"]).max() > 1e-4
    for other in ("fp16", "unknown"):  # on a CPU fp32 stands in for fp16
        np.testing.assert_array_equal(made[other], made["fp32"])
