"""Means over episodes and seeds, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

CONFIDENCE = 0.95


class Spread(BaseModel):
    """How far n values lie apart.

    Attributes:
        n: How many there are.
        std: Sample standard deviation (divided by n - 1); None for a single value.
        interval95: Half the width of the 95% confidence interval of the mean; None for a single value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n: int
    std: float | None = None
    interval95: float | None = None


def spread_of(values: Sequence[float] | np.ndarray) -> Spread:
    """Returns the spread of values; the interval is Student's t with n - 1 degrees of freedom.

    Equal to ``scipy.stats.t.interval(0.95, n - 1, loc=mean, scale=sem)``.

    Raises:
        ValueError: If there is no value, or one is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if not array.size or not np.isfinite(array).all():
        raise ValueError("a spread needs values, all finite")
    if array.size == 1:
        return Spread(n=1)
    from scipy.special import stdtrit  # a tenth of a second; scipy.stats takes one

    std = float(array.std(ddof=1))
    quantile = float(stdtrit(array.size - 1, 0.5 + CONFIDENCE / 2))
    return Spread(n=array.size, std=std, interval95=quantile * std / np.sqrt(array.size))


def harmonic_mean(first: float, second: float) -> float:
    """Returns 2ab / (a + b), and 0 when both are 0: the score of generalised open-set evaluation."""
    return 2 * first * second / (first + second) if first + second else 0.0
