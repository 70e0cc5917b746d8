"""Lines for the user, on standard error: standard output belongs to what a command was asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from featx.errors import printable
from featx.output import json_log
from featx.output.audience import calling_program

if TYPE_CHECKING:
    from rich.console import Console


def stderr_console() -> Console:
    """Returns where bars and lines are drawn; nothing is, where logs are JSON."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, quiet=json_log.is_on())


def say(line: str, console: Console | None = None, event: str = "message", **figures: Any) -> None:
    """Prints a line for the user, or gives it to the program that called.

    Args:
        line: What to say.
        console: Where a progress bar is shown, above which the line has to stand; standard error if not given.
        event: What happened, for logs in JSON.
        figures: What it happened to, for logs in JSON.
    """
    if (program := calling_program()) is not None:
        program.lines.append(line)
    elif json_log.is_on():
        json_log.write("info", event, line, **figures)
    elif console is not None:
        console.print(line, markup=False, highlight=False)
    else:
        print(line, file=sys.stderr)


def warn(line: str) -> None:
    """Says what has to be known beside the result; a program gets it as a `FeatxWarning`."""
    if (program := calling_program()) is not None:
        program.warnings.append(line)
    elif json_log.is_on():
        json_log.write("warning", "warning", line)
    else:
        print(printable(f"warning: {line}"), file=sys.stderr)


def complain(line: str, code: int) -> None:
    """Says why a command ends, as its last line.

    Args:
        line: The error.
        code: The exit code.
    """
    if json_log.is_on():
        json_log.write("error", "error", line, code=code)
    else:
        print(f"featx: {printable(line)}", file=sys.stderr)
