"""The learning rate of a step."""

from __future__ import annotations

import math
from typing import Literal


def rate_at(
    step: int, rate: float, steps: int, warmup: int, schedule: Literal["constant", "cosine"]
) -> float:
    """Returns the learning rate of step 1, 2, … ``steps``.

    It rises evenly and reaches ``rate`` at step ``warmup + 1``; then it stays (the paper's practice: the released
    code's cosine has a period of 2e5 steps), or falls to 0 along half a cosine.
    """
    done = step - 1
    if done < warmup:
        return rate * step / (warmup + 1)
    if schedule == "constant":
        return rate
    return rate * 0.5 * (1 + math.cos(math.pi * (done - warmup) / (steps - warmup)))
