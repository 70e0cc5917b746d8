"""What every function of `import featx` does: it prints nothing, and its errors speak Python.

The functions share their code with the commands, whose messages name options. So a message is put into Python's words on
its way out: ``--batch-size 0: …`` becomes ``batch_size=0: …``, and ``--fresh``, which is a switch, ``fresh=True``.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import warnings
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from featx.errors import FeatxError, FeatxWarning, Interrupted, nearest
from featx.output.audience import Program, calling_program, told_to
from featx.settings import Settings, SomeSettings, gather

PathLike = str | os.PathLike[str]
Given = ParamSpec("Given")
Result = TypeVar("Result")
_OPTION = r"(?<![\w-])--([a-z][a-z0-9]*(?:-[a-z0-9]+)*)"
_NEEDED = " (as an option, in a recipe, or with --set)"


def in_python_words(message: str, switches: Collection[str] = ()) -> str:
    """Returns a message of the command line as it is said of keyword arguments.

    Args:
        message: With options such as ``--batch-size``.
        switches: Names of arguments that are true or false.
    """
    message = message.replace(_NEEDED, "")
    message = re.sub(r"\b(?:give|run) the same command\b", "make the same call", message)
    message = re.sub(r"\bRun the same command\b", "Make the same call", message)
    message = re.sub(rf"^{_OPTION} (\S+): ", lambda found: f"{_name(found[1])}={found[2]}: ", message)

    def of_option(found: re.Match[str]) -> str:
        name = _name(found[1])
        if name in switches:
            return f"{name}=True"
        return f"{name[3:]}=False" if name.startswith("no_") and name[3:] in switches else name

    return re.sub(_OPTION, of_option, message)


def _name(option: str) -> str:
    return option.replace("-", "_")


def library_function(
    *models: type[Settings],
) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
    """Decorates a function of `import featx`: nothing is printed, warnings and errors reach the caller in Python's words.

    Ctrl-C stays a `KeyboardInterrupt`, which says what was kept.

    Args:
        models: Types of the settings that the function takes as keyword arguments.
    """
    of_models = {
        name for model in models for name, field in model.model_fields.items() if field.annotation is bool
    }

    def decorate(function: Callable[Given, Result]) -> Callable[Given, Result]:
        own = {
            name
            for name, one in inspect.signature(function).parameters.items()
            if one.default in (True, False)
        }
        switches = of_models | own

        @functools.wraps(function)
        def call(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            program = Program()
            try:
                with told_to(program):
                    return function(*args, **kwargs)
            except Interrupted as stop:
                raise KeyboardInterrupt(in_python_words(str(stop), switches)) from None
            except FeatxError as error:
                error.args = (in_python_words(str(error), switches),)
                raise
            finally:
                for line in program.warnings:
                    warnings.warn(in_python_words(line, switches), FeatxWarning, stacklevel=2)

        return call

    return decorate


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
