"""Lines that fit the terminal. Into a file or a pipe they are written as they are."""

from __future__ import annotations

import shutil
import sys
import textwrap

UNLIMITED = 10_000


def terminal_width() -> int:
    """Returns how many characters a line may have: as many as the terminal has; without one, any number."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else UNLIMITED


def fitted(line: str, hanging: int = 0, width: int | None = None) -> str:
    """Returns a line as lines that fit, broken between words.

    A word that is longer than a line, such as a path, stays whole, so that it can be copied.

    Args:
        line: One line.
        hanging: Blanks before all but the first.
        width: Characters that a line may have; those of the terminal if not given.
    """
    width = terminal_width() if width is None else width
    if len(line) <= width:
        return line
    lines = textwrap.wrap(
        line,
        max(width, hanging + 20),
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)
