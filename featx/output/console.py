"""Lines for the user, on standard error: standard output belongs to what a command was asked for."""

from __future__ import annotations


def say(line: str) -> None:
    """Prints a line for the user."""
    from rich.console import Console

    Console(stderr=True, soft_wrap=True, highlight=False).print(line, markup=False)
