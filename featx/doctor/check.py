"""What one look at the machine found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How bad it is: a failure stops work, a warning makes it slow or fragile."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Check:
    """What one look found.

    Attributes:
        name: What was looked at.
        state: How bad it is.
        found: What is there.
        advice: What to do; empty if nothing has to be done.
    """

    name: str
    state: State
    found: str
    advice: str = ""


GIB = 2**30


def readable_size(size_bytes: float) -> str:
    """Returns a size as people read it."""
    return f"{size_bytes / GIB:,.1f} GiB" if size_bytes >= GIB else f"{size_bytes / 2**20:,.0f} MiB"


def looked(name: str, look: Callable[[], Check | list[Check]]) -> list[Check]:
    """Returns what a look found; a look that breaks is a failure too, as it does on a broken installation.

    Args:
        name: What is looked at.
        look: The look.
    """
    try:
        found = look()
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        advice = (
            "featx --version --verbose shows what is installed; install featx again into a fresh environment"
        )
        return [Check(name, State.FAILURE, f"{type(error).__name__}: {reason}", advice)]
    return found if isinstance(found, list) else [found]
