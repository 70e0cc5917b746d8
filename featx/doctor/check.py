"""What one look at the machine found."""

from __future__ import annotations

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


def in_gib(size_bytes: float) -> str:
    """Returns a size as people read it."""
    return f"{size_bytes / GIB:,.1f} GiB"
