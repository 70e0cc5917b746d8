"""What every part of a run needs to know of where it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .ranks import Ranks


@dataclass(frozen=True)
class RunContext:
    """Where a run writes, which processes take part in it, and how it speaks to the user.

    Attributes:
        folder: The run's folder.
        ranks: The processes that learn together.
        say: Prints a line for the user; on the first rank only.
    """

    folder: Path
    ranks: Ranks
    say: Callable[[str], None]
