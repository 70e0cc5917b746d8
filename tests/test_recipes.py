"""Every shipped recipe begins with the command that runs it, and its keys and values are valid."""

from pathlib import Path

import pytest

from featx.settings import gather
from featx.train.settings import TrainSettings

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "train" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_recipe(file: Path) -> None:
    command = file.read_text().splitlines()[0]
    assert command.startswith(f"# featx train --recipe train/recipes/{file.name} --to ")
    gather(TrainSettings, file, {}, [])


def test_there_are_recipes() -> None:
    assert {"moving-shapes-both", "hmdb51"} <= {file.stem for file in RECIPES}
