"""How functions of `import featx` take their arguments, and what they have to say."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from featx.errors import FeatxError, nearest
from featx.output.audience import Program, calling_program
from featx.settings import SomeSettings, gather, gather_task

PathLike = str | os.PathLike[str]


def this_call() -> Program:
    """Returns what the function that was called has to say."""
    program = calling_program()
    assert program is not None
    return program


def settings_of(model: type[SomeSettings], given: dict[str, Any]) -> SomeSettings:
    """Returns keyword arguments as settings; paths may be strings.

    Raises:
        FeatxError: Naming the argument; for an unknown one the nearest known one.
    """
    for name in given:
        if model.current_name(name) not in model.model_fields:
            raise FeatxError(f"{name}: no such argument{nearest(name, model.model_fields)}")
    return gather(model, None, _with_paths_as_text(given), [])


def task_settings_of(
    models: dict[str, type[SomeSettings]], recipe: Path | None, given: dict[str, Any]
) -> SomeSettings:
    """Does what `settings_of` does where the argument ``task`` says which of several types of settings is meant.

    Raises:
        FeatxError: As `settings_of`.
    """
    known = {field for model in models.values() for field in (*model.model_fields, *model.former_names)}
    for name in given:
        if name not in known:
            raise FeatxError(f"{name}: no such argument{nearest(name, known)}")
    return gather_task(models, recipe, _with_paths_as_text(given), [])


def _with_paths_as_text(given: dict[str, Any]) -> dict[str, Any]:
    """Settings take text, be it for a path or for a model that may be one; open stores and runs are their folders."""
    return {name: os.fspath(one) if isinstance(one, os.PathLike) else one for name, one in given.items()}


def paths_of(given: PathLike | Iterable[PathLike]) -> list[Path]:
    """Returns one path, or several, as a list."""
    return [Path(given)] if isinstance(given, str | os.PathLike) else [Path(one) for one in given]
