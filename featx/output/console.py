"""Lines for the user, on standard error: standard output belongs to what a command was asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from featx.errors import printable
from featx.output.audience import calling_program

if TYPE_CHECKING:
    from rich.console import Console


def say(line: str, console: Console | None = None) -> None:
    """Prints a line for the user, or gives it to the program that called.

    Args:
        line: What to say.
        console: Where a progress bar is shown, above which the line has to stand; standard error if not given.
    """
    if (program := calling_program()) is not None:
        program.lines.append(line)
        return
    if console is None:
        from rich.console import Console

        console = Console(stderr=True, soft_wrap=True)
    console.print(line, markup=False, highlight=False)


def warn(line: str) -> None:
    """Says what has to be known beside the result; a program gets it as a `FeatxWarning`."""
    if (program := calling_program()) is not None:
        program.warnings.append(line)
    else:
        print(printable(f"warning: {line}"), file=sys.stderr)
