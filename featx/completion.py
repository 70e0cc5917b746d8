"""What a shell offers for a word of a command line when the Tab key is pressed.

Where nothing is offered, or nothing fits what was typed, the shell offers files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

Completion = Callable[[str], list[str]]  # from what was typed of a word, to what it may become


class Offers:
    """Stands in a setting's annotation: values that a shell offers for it, though others are possible too."""

    def __init__(self, *values: str) -> None:
        self.values = values


def one_of(values: Iterable[str] | Callable[[], Iterable[str]]) -> Completion:
    """Offers values.

    Args:
        values: What may be typed, or a function that returns it and that is called when it is needed.
    """

    def complete(incomplete: str) -> list[str]:
        known = values() if callable(values) else values
        return [value for value in known if value.startswith(incomplete)]

    return complete


def some_of(values: Iterable[str]) -> Completion:
    """Offers values of a list with commas; each once."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        rest = [value for value in values if value not in before.split(",")]
        return [f"{before}{comma}{value}" for value in rest if value.startswith(last)]

    return complete
