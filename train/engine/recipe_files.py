"""The recipes that come with featx, found by their names wherever it is installed."""

from __future__ import annotations

from pathlib import Path

from featx.errors import FeatxError, nearest

FOLDER = Path(__file__).parents[1] / "recipes"


def recipe_names() -> list[str]:
    """Returns the names of the recipes that come with featx."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def find_recipe(given: Path | None, flag: str = "--recipe") -> Path | None:
    """Returns the file of a recipe: the one that is given, or of a bare name the one that comes with featx.

    Args:
        given: A TOML file, or a name such as ``hmdb51``; None for no recipe.
        flag: The option that names it, for messages.

    Raises:
        FeatxError: If it is neither, naming what comes near.
    """
    if given is None or given.exists():
        return given
    names = recipe_names()
    if given.parent == Path() and given.name.removesuffix(".toml") in names:
        return FOLDER / f"{given.name.removesuffix('.toml')}.toml"
    stem = given.name.removesuffix(".toml")
    if stem in names:
        raise FeatxError(
            f"{flag} {given}: no such file; the recipe of that name comes with featx: {flag} {stem}"
        )
    hint = nearest(stem, names) or f"; those that come with featx: {', '.join(names)}"
    raise FeatxError(f"{flag} {given}: no such file{hint}")
