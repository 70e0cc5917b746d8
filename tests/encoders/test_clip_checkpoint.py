"""A checkpoint whose activation nobody knows is not guessed: QuickGELU and GELU leave the same tensors."""

import re
from pathlib import Path

import clip
import pytest
import torch
from clip.model import CLIP, QuickGELU
from torch import nn

from featx.encoders.load import load_model
from featx.errors import FeatxError


@pytest.fixture(scope="module")
def model() -> CLIP:
    torch.manual_seed(0)
    return CLIP(32, 32, 2, 64, 16, 77, 49408, 64, 1, 2).float().eval()


def archive(model: CLIP, file: Path) -> Path:
    inputs = torch.zeros(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.long)
    torch.jit.trace(model, inputs, check_trace=False).save(file)
    return file


def with_gelu(model: CLIP) -> CLIP:
    """What open_clip trains: the same tensors, another function between them."""
    other = CLIP(32, 32, 2, 64, 16, 77, 49408, 64, 1, 2).float().eval()
    other.load_state_dict(model.state_dict())
    for block in [*other.transformer.resblocks, *other.visual.transformer.resblocks]:
        block.mlp.gelu = nn.GELU()
    return other


def test_a_state_dict_that_does_not_say_is_refused_with_the_choices(model: CLIP, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    torch.save(with_gelu(model).state_dict(), file)
    with pytest.raises(FeatxError, match=re.escape(f"--model openai:{file}")) as refused:
        load_model(str(file))
    assert "GELU" in str(refused.value) and "\n" not in str(refused.value)


def test_who_says_that_it_is_openais_gets_what_clip_computes(model: CLIP, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    torch.save(model.state_dict(), file)
    loaded = load_model(f"openai:{file}")
    assert (loaded.name, loaded.source) == ("weights", f"openai:{file}")
    theirs, _ = clip.load(str(file), device="cpu", jit=False)
    state = loaded.model.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in theirs.state_dict().items())
    assert isinstance(loaded.model.transformer.resblocks[0].mlp.gelu, QuickGELU)


def test_what_openais_own_state_dicts_hold_is_believed(model: CLIP, tmp_path: Path) -> None:
    marks = {"input_resolution": torch.tensor(32), "context_length": torch.tensor(77)}
    torch.save(model.state_dict() | marks | {"vocab_size": torch.tensor(49408)}, tmp_path / "weights.pt")
    assert load_model(str(tmp_path / "weights.pt")).width == 32


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_an_archive_says_what_it_computes(model: CLIP, tmp_path: Path) -> None:
    assert load_model(str(archive(model, tmp_path / "quick.pt"))).width == 32
    other = archive(with_gelu(model), tmp_path / "gelu.pt")
    for source in (str(other), f"openai:{other}"):
        with pytest.raises(FeatxError, match="trained with GELU"):
            load_model(source)


def test_a_store_says_how_its_features_were_made(model: CLIP, tmp_path: Path) -> None:
    """Stores of before were computed with QuickGELU from files that do not say so."""
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    plain = load_model(str(tmp_path / "weights.pt"), is_openai=True)
    assert plain.weights_sha256 == load_model(f"openai:{tmp_path / 'weights.pt'}").weights_sha256


@pytest.mark.parametrize(
    ("content", "message"),
    [({"state_dict": {"a": torch.zeros(1)}, "epoch": 3}, "training checkpoint"), ([1], "it holds a list")],
)
def test_other_files_are_named(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(FeatxError, match=message):
        load_model(str(tmp_path / "other.pt"))
