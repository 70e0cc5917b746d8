"""The learning rate of a step."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "cosine", "released"]
RELEASED_PERIOD_STEPS = 200_000  # of the authors' released code: src/main.py, decay_steps
RELEASED_LOWEST = 0.01  # share of the rate that its cosine goes down to


def rate_at(step: int, rate: float, steps: int, warmup: int, schedule: Schedule) -> float:
    """Returns the learning rate of step 1, 2, … ``steps``.

    It rises evenly and reaches ``rate`` at step ``warmup + 1``; then it stays, falls to 0 along half a cosine, or does as
    in the authors' released code: half a cosine of 200,000 steps, whatever ``steps`` is, down to a hundredth of the rate,
    and again. That code sets the rate after a step, from the number of the step just done: its first two are equal.
    """
    done = step - 1
    if done < warmup:
        return rate * step / (warmup + 1)
    if schedule == "constant":
        return rate
    if schedule == "released":
        share = max(done - warmup - 1, 0) % RELEASED_PERIOD_STEPS / RELEASED_PERIOD_STEPS
        return rate * (RELEASED_LOWEST + (1 - RELEASED_LOWEST) * half_cosine(share))
    return rate * half_cosine((done - warmup) / (steps - warmup))


def half_cosine(share: float) -> float:
    """Returns 1 at 0, 0 at 1, and half a cosine between."""
    return 0.5 * (1 + math.cos(math.pi * share))
