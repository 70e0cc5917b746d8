"""Settings: later sources win, and what is wrong is named with its source and the way out."""

from pathlib import Path

import pytest

from featx.errors import FeatxError
from featx.settings import MAY_CHANGE, gather, gather_task
from featx.train.adapter.settings import TrainSettings
from featx.train.detector.settings import ProposalSettings

NEEDED = {"store": "s", "manifest": "m"}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.toml"
    file.write_text(
        'store = "s"\nmanifest = "m"\nprompts = 8\nlayers = 1\nsteps = 5\nstrides = [2, 3, 4, 5]\n'
    )
    return file


def test_set_wins_over_options_over_recipe_over_defaults(recipe: Path) -> None:
    settings = gather(TrainSettings, recipe, {"layers": 3, "steps": 6, "batch_size": None}, ["steps=7"])
    assert (settings.batch_size, settings.prompts, settings.layers, settings.steps) == (64, 8, 3, 7)


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("template=a clip of a {}", "template", "a clip of a {}"),
        ("learning_rate=1e-3", "learning_rate", 1e-3),
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


SETTINGS = {"recognition": TrainSettings, "localisation": TrainSettings, "proposals": ProposalSettings}


def test_the_task_says_which_settings_are_meant(tmp_path: Path) -> None:
    assert type(gather_task(SETTINGS, None, NEEDED, [])) is TrainSettings
    assert gather_task(SETTINGS, None, NEEDED, ["task=localisation"]).task == "localisation"
    file = tmp_path / "r.toml"
    file.write_text('task = "proposals"\ngrid_steps = 50\n')
    settings = gather_task(SETTINGS, file, NEEDED, ["width=16"])
    assert isinstance(settings, ProposalSettings) and settings.batch_size == 2 and settings.width == 16
    assert type(gather_task(SETTINGS, None, NEEDED | {"task": "recognition"}, [])) is TrainSettings


@pytest.mark.parametrize(
    ("options", "words", "message"),
    [
        (
            {"task": "proposals", "prompts": 2},
            [],
            "^--prompts: task proposals has no such setting, recognition",
        ),
        ({}, ["grid_steps=3"], "^--set: grid_steps: task recognition has no such setting, proposals have"),
        ({"task": "proposals"}, ["widht=3"], "--set: unknown key 'widht'; did you mean 'width'"),
        ({"task": "propose"}, [], "^--task propose: no such task; did you mean 'proposals'"),
        ({"task": "proposals"}, [], "give grid_step_s"),
    ],
)
def test_settings_of_another_task_are_refused(options: dict, words: list[str], message: str) -> None:
    with pytest.raises(FeatxError, match=message):
        gather_task(SETTINGS, None, NEEDED | options, words)


def test_a_list_is_shown_as_it_is_typed() -> None:
    """What the help says is the default can be given again, and is the default."""
    from featx.settings import _option

    for name in ("strides", "stride_weights"):
        field = TrainSettings.model_fields[name]
        (option,) = _option(name, {"": field}).__metadata__
        shown = option.help.rsplit("[default: ", 1)[1].removesuffix("]")
        assert "[" not in shown
        given = gather(TrainSettings, None, NEEDED | {name: shown}, [])
        assert getattr(given, name) == field.default


def test_what_may_change_is_how_a_run_is_computed_not_what_it_learns() -> None:
    for model in (TrainSettings, ProposalSettings):
        may_change = model.marked(MAY_CHANGE)
        assert {"store", "manifest", "device", "workers", "quiet"} <= may_change
        assert not may_change & {"seed", "steps", "batch_size", "learning_rate", "task", "train_split"}
    settings = gather(TrainSettings, None, NEEDED, [])
    assert settings.lasting() == gather(TrainSettings, None, NEEDED, ["workers=9", "store=t"]).lasting()
    assert settings.lasting() != gather(TrainSettings, None, NEEDED, ["seed=9"]).lasting()
