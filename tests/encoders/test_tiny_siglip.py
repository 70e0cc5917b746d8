"""The tiny SigLIP: transformers reads its folder, and it knows the world's pictures by their words."""

import numpy as np
import pytest
import torch

from featx.clip.preprocess import mean_and_deviation, normalise
from featx.data_manifests.moving_shapes.stills import PARTS, draw_stills
from featx.encoders.load import load_model
from featx.encoders.text import encode_sentences
from featx.encoders.transformers_folder import TINY_SIGLIP_FOLDER

HELD_OUT_SEED = 987_654  # training draws its stills with seeds below 1,000


def test_transformers_reads_the_folder() -> None:
    from transformers import AutoModel, AutoTokenizer

    assert sum(file.stat().st_size for file in TINY_SIGLIP_FOLDER.iterdir()) < 3_000_000
    loaded = load_model("siglip:tiny")
    assert (loaded.family, loaded.name, loaded.input_size, loaded.width) == ("siglip", "tiny", 64, 128)
    theirs = AutoModel.from_pretrained(TINY_SIGLIP_FOLDER, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(TINY_SIGLIP_FOLDER)
    texts = ["a red star", "a photo of a huge blue triangle at the top left", "zebra's café"]
    words = tokenizer(texts, padding="max_length", max_length=64, return_tensors="pt")
    with torch.no_grad():
        expected = torch.nn.functional.normalize(theirs.get_text_features(**words).pooler_output, dim=1)
    torch.testing.assert_close(encode_sentences(texts, loaded.text)[0], expected, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def held_out():
    loaded = load_model("siglip:tiny")
    stills = draw_stills(HELD_OUT_SEED, 600, 64)
    with torch.inference_mode():
        images = loaded.visual(
            normalise(torch.from_numpy(stills.pixels), mean_and_deviation(loaded.preprocessing))
        )
    return loaded, torch.nn.functional.normalize(images, dim=1), stills.facts


@pytest.mark.parametrize(
    ("part", "template", "at_least"),
    [
        ("colour", "a {} shape", 0.97),  # chance 1/8
        ("shape", "a {}", 0.5),  # chance 1/8
        ("size", "a {} shape", 0.72),  # chance 1/4
        ("side", "a shape at the {}", 0.9),  # chance 1/3
    ],
)
def test_zero_shot_on_held_out_stills(held_out, part: str, template: str, at_least: float) -> None:
    loaded, images, facts = held_out
    text, _ = encode_sentences([template.format(word) for word in PARTS[part]], loaded.text)
    said = (images @ text.T).argmax(dim=1).numpy()
    share = (said == facts[:, list(PARTS).index(part)]).mean()
    assert share >= at_least
    assert np.bincount(said, minlength=len(PARTS[part])).min() > 0
