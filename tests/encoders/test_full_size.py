"""The same at the sizes of real models, with random weights: `make test-slow`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from test_transformers import library_features, texts_of
from transformers_folders import make_folder

from featx.clip.preprocess import mean_and_deviation, normalise, scale_and_crop
from featx.encoders.images import ImageEncoder
from featx.encoders.load import load_model
from featx.encoders.text import TextTower
from featx.encoders.transformers_models import of_transformers

BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
CLIP_TEXT = {"hidden_size": 512, "num_hidden_layers": 12, "num_attention_heads": 8, "intermediate_size": 2048}
IMAGE = BASE | {"image_size": 224, "patch_size": 16}
SIZES = {"hf-clip": (CLIP_TEXT, IMAGE), "siglip": (BASE, IMAGE), "align": (BASE, {"image_size": 289})}
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("family", list(SIZES))
def test_base_sizes(family: str, tmp_path: Path) -> None:
    text, vision = SIZES[family]
    folder = make_folder(family, tmp_path / family, text, vision, shake=False)
    loaded = load_model(f"{family}:{folder}")
    frames = np.random.default_rng(0).integers(0, 256, (2, 300, 400, 3), dtype=np.uint8)
    pixels = np.stack([scale_and_crop(frame, loaded.preprocessing) for frame in frames])
    pictures = normalise(torch.from_numpy(pixels), mean_and_deviation(loaded.preprocessing))
    with torch.inference_mode():
        expected = loaded.model.get_image_features(pixel_values=pictures).pooler_output
    ours = ImageEncoder(load_model(f"{family}:{folder}")).encode(pixels)
    np.testing.assert_allclose(ours, expected.numpy(), rtol=0, atol=1e-5)
    loaded.model.text_model.config._attn_implementation = "sdpa"  # as in test_transformers
    double = of_transformers(
        loaded.model.double(), loaded.text.format, loaded.preprocessing, loaded.source, ""
    )
    table = (0.02 * torch.randn(8, double.text_width, dtype=torch.float64)).requires_grad_()
    texts, tower = texts_of((1, 5, 40)), TextTower(double.text)
    features = tower.encode(tower.plan(texts, 4), table), library_features(double, texts, table, 4)
    torch.testing.assert_close(*features, rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(one.sin().sum(), table)[0] for one in features]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_vit_b_16_of_open_clip(tmp_path: Path) -> None:
    import open_clip

    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-16").eval()
    torch.save(model.state_dict(), tmp_path / "b16.pt")
    loaded = load_model(f"open_clip:ViT-B-16@{tmp_path / 'b16.pt'}")
    frames = np.random.default_rng(0).integers(0, 256, (2, 300, 400, 3), dtype=np.uint8)
    pixels = np.stack([scale_and_crop(frame, loaded.preprocessing) for frame in frames])
    pictures = normalise(torch.from_numpy(pixels), mean_and_deviation(loaded.preprocessing))
    with torch.inference_mode():
        expected = model.encode_image(pictures)
        words = model.encode_text(open_clip.get_tokenizer("ViT-B-16")(texts_of((1, 5, 40))))
        tower = TextTower(loaded.text)
        torch.testing.assert_close(tower.encode(tower.plan(texts_of((1, 5, 40)))), words, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ImageEncoder(loaded).encode(pixels), expected.numpy(), rtol=0, atol=1e-5)
