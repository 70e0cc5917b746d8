"""What every function of `import featx` does: it prints nothing, and its errors are in Python's words.

The functions share their code with the commands, whose messages name options. So a message is put into Python's words on
its way out: ``--batch-size 0: …`` becomes ``batch_size=0: …``, and ``--fresh``, which is a switch, ``fresh=True``.
"""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from featx.errors import FeatxError, FeatxWarning, Interrupted
from featx.output.audience import Program, told_to

if TYPE_CHECKING:
    from featx.settings import Settings

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
