"""What the readers of captioned data sets share: sentences by video, and what the report says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from textwrap import shorten
from typing import Any

from featx.errors import FeatxError

from .entries import VideoEntry

NAMED = 5  # repeated sentences that the report names
SHOWN_LETTERS = 60


def caption_notes(entries: Iterable[VideoEntry], official: dict[str, int], all_of_split: str) -> list[str]:
    """Returns lines about the captions of each split, and the sentences that repeat in the one that is tested.

    Args:
        entries: Videos with captions.
        official: Split to official number of captions.
        all_of_split: Split whose repeated sentences are named: each is a query that several videos answer.
    """
    by_split: dict[str, list[str]] = {}
    for entry in entries:
        by_split.setdefault(entry.split, []).extend(entry.captions)
    notes = []
    for split, captions in by_split.items():
        known = f", officially {official[split]:,}" if split in official else ""
        repeated = {one: count for one, count in Counter(captions).items() if count > 1}
        again = ""
        if repeated:
            again = f"; {len(repeated):,} sentences repeat ({sum(repeated.values()) - len(repeated):,} surplus captions)"
            if split == all_of_split:
                some = [
                    f"'{shorten(one, SHOWN_LETTERS, placeholder='…')}' x {n}" for one, n in repeated.items()
                ]
                again += f": {', '.join(some[:NAMED])}{', …' if len(some) > NAMED else ''}"
        notes.append(f"{split or '(none)'}: {len(captions):,} captions{known}{again}")
    return notes


def text_in(row: Any, key: str, place: str) -> str:
    """Returns a text of a JSON object.

    Raises:
        FeatxError: If it is not there, or blank.
    """
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise FeatxError(f"{place}: has no text under '{key}'")
    return value.strip()
