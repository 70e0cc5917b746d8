"""The tiny CLIP: OpenAI's own loader reads it, and it knows the world's pictures by their words."""

import clip
import numpy as np
import pytest
import torch

from featx.clip.preprocess import Preprocessing, mean_and_deviation, normalise
from featx.data_manifests.moving_shapes.stills import PARTS, draw_stills
from featx.encoders.load import load_model
from featx.encoders.openai import TINY_FILE

HELD_OUT_SEED = 987_654  # training draws its stills with seeds below 1,000


def test_openais_loader_reads_the_file() -> None:
    model, _ = clip.load(str(TINY_FILE), device="cpu", jit=False)
    assert TINY_FILE.stat().st_size <= 8_000_000
    loaded = load_model("tiny")
    assert (loaded.input_size, loaded.width, loaded.text_width) == (64, 128, 64)
    assert all(
        torch.equal(value.float(), loaded.model.state_dict()[key])
        for key, value in model.state_dict().items()
    )
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


@pytest.fixture(scope="module")
def held_out():
    model = load_model("tiny").model
    stills = draw_stills(HELD_OUT_SEED, 1500, 64)
    with torch.inference_mode():
        images = model.encode_image(
            normalise(torch.from_numpy(stills.pixels), mean_and_deviation(Preprocessing(64)))
        )
    return model, torch.nn.functional.normalize(images, dim=1), stills.facts


@pytest.mark.parametrize(
    ("parts", "template", "at_least"),
    [
        (("colour",), "a {colour} shape", 0.97),  # chance 1/8
        (("shape",), "a {shape}", 0.73),  # chance 1/8
        (("colour", "shape"), "a {colour} {shape}", 0.73),  # chance 1/64
        (("size",), "a {size} shape", 0.8),  # chance 1/4
        (("side",), "a shape at the {side}", 0.93),  # chance 1/3
    ],
)
def test_zero_shot_on_held_out_stills(held_out, parts, template: str, at_least: float) -> None:
    model, images, facts = held_out
    grid = np.stack(np.meshgrid(*(np.arange(len(PARTS[p])) for p in parts), indexing="ij"), axis=-1)
    choices = grid.reshape(-1, len(parts))
    texts = [
        template.format(**{p: PARTS[p][c] for p, c in zip(parts, choice, strict=True)}) for choice in choices
    ]
    with torch.inference_mode():
        text = torch.nn.functional.normalize(model.encode_text(clip.tokenize(texts)), dim=1)
    said = choices[(images @ text.T).argmax(dim=1).numpy()]  # (stills, parts)
    true = facts[:, [list(PARTS).index(p) for p in parts]]
    assert (said == true).all(axis=1).mean() >= at_least
