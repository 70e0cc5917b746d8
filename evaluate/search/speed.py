"""How fast a store was read, beside how fast this machine reads its memory at all."""

from __future__ import annotations

import time
from dataclasses import dataclass

PROBE_BYTES = 256 * 2**20  # larger than any cache
PROBES = 5


@dataclass(frozen=True)
class Speed:
    """A pass over a store: ``rows`` of ``size_bytes`` in ``wall_s`` seconds, for ``queries`` queries at once."""

    rows: int
    size_bytes: int
    wall_s: float
    queries: int

    @property
    def gb_per_s(self) -> float:
        """Gigabytes of features a second."""
        return self.size_bytes / self.wall_s / 1e9

    def describe(self) -> str:
        """Measures the memory, and says what share of its speed was reached."""
        memory = memory_gb_per_s()
        return (
            f"{self.rows:,} rows ({self.size_bytes / 1e6:,.1f} MB) for {self.queries} queries in {self.wall_s:.3f} s: "
            f"{self.rows / self.wall_s:,.0f} rows/s, {self.gb_per_s:.2f} GB/s, {self.gb_per_s / memory:.0%} of the "
            f"{memory:.1f} GB/s at which this machine reads its memory"
        )


def memory_gb_per_s() -> float:
    """Returns how fast numbers can be read that are in no cache: the best of a few sums of 256 MB, with all threads."""
    import torch

    numbers = torch.ones(PROBE_BYTES // 4)
    fastest = float("inf")
    for _ in range(PROBES):
        began = time.perf_counter()
        numbers.sum()
        fastest = min(fastest, time.perf_counter() - began)
    return PROBE_BYTES / fastest / 1e9
