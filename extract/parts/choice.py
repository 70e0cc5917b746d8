"""Which part a machine takes next."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

from featx.store.parts.claims import Claim


def choose_part(
    parts: Sequence[int],
    done: Collection[int],
    claims: Mapping[int, Claim],
    now: float,
    stale_s: float,
    dice: random.Random,
) -> int | None:
    """Returns a part that nobody works on, or else one that somebody has worked on for too long; None for none.

    Args:
        parts: The numbers that this machine may take.
        done: Those that are committed, or in this machine's hands.
        claims: Who works on what.
        now: Seconds since 1970.
        stale_s: After so many seconds a claim says nothing any more.
        dice: For a free choice, so that machines that start together choose different ones.
    """
    open_parts = [number for number in parts if number not in done]
    free = [number for number in open_parts if number not in claims]
    if free:
        return dice.choice(free)
    stale = [number for number in open_parts if now - claims[number].began > stale_s]
    return min(stale, key=lambda number: claims[number].began) if stale else None
