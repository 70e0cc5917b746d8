"""How functions of `import featx` take their arguments, and what they have to say."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from featx.errors import FeatxError, nearest
from featx.output.audience import Program, calling_program
from featx.settings import SomeSettings, gather

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
    return gather(model, None, given, [])


def paths_of(given: PathLike | Iterable[PathLike]) -> list[Path]:
    """Returns one path, or several, as a list."""
    return [Path(given)] if isinstance(given, str | os.PathLike) else [Path(one) for one in given]
