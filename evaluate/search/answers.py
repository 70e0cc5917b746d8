"""What a query found."""

from __future__ import annotations

from dataclasses import dataclass

from .exact.search import Hit


@dataclass(frozen=True)
class Answer:
    """A query, its hits (the best first), and whether it was a text that had to be cut."""

    query: str
    hits: list[Hit]
    truncated: bool = False
