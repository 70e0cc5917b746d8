"""Settings: later sources win, and what is wrong is named with its source and the way out."""

from pathlib import Path

import pytest

from featx.errors import FeatxError
from featx.settings import gather
from featx.train.settings import TrainSettings

NEEDED = {"store": "s", "manifest": "m"}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.toml"
    file.write_text(
        'store = "s"\nmanifest = "m"\nprompts = 8\nlayers = 1\nsteps = 5\nstrides = [2, 3, 4, 5]\n'
    )
    return file


def test_set_wins_over_options_over_recipe_over_defaults(recipe: Path) -> None:
    settings = gather(TrainSettings, recipe, {"layers": 3, "steps": 6, "batch": None}, ["steps=7"])
    assert (settings.batch, settings.prompts, settings.layers, settings.steps) == (64, 8, 3, 7)


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("template=a clip of a {}", "template", "a clip of a {}"),
        ("rate=1e-3", "rate", 1e-3),
        ("strides=[1, 2, 5, 6]", "strides", [1, 2, 5, 6]),
        ("strides=1,2,5,6", "strides", [1, 2, 5, 6]),
        ("layout=positional", "layout", "positional"),
        ("suffix=false", "suffix", False),
    ],
)
def test_words_of_set(word: str, key: str, value: object) -> None:
    assert getattr(gather(TrainSettings, None, NEEDED, [word]), key) == value


@pytest.mark.parametrize(
    ("options", "words", "message"),
    [
        ({"store": "s"}, [], "--manifest: is needed"),
        (NEEDED, ["layer=2"], "--set: unknown key 'layer'; did you mean 'layers'"),
        (NEEDED, ["layers"], "--set layers: must be key=value"),
        (NEEDED, ["layers=9"], "--set: layers=9: .*less than or equal to 4"),
        (NEEDED | {"layers": 9}, [], "--layers 9: .*less than or equal to 4"),
        (NEEDED, ["layout=round"], "layout=round: Input should be 'sequence' or 'positional'"),
    ],
)
def test_what_is_wrong_is_named(options: dict, words: list[str], message: str) -> None:
    with pytest.raises(FeatxError, match=message):
        gather(TrainSettings, None, options, words)


def test_a_recipe_names_itself(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    for content, message in [
        ("stepz = 3", "r.toml: unknown key 'stepz'; did you mean 'steps'"),
        ("a", "not TOML"),
    ]:
        file.write_text(content)
        with pytest.raises(FeatxError, match=message):
            gather(TrainSettings, file, NEEDED, [])
    with pytest.raises(FeatxError, match=r"none\.toml: cannot read it"):
        gather(TrainSettings, tmp_path / "none.toml", NEEDED, [])
