"""Soft-NMS of one video's 2,000 proposals against the plain loop over pairs, in one run.

    python benchmarks/bench_suppression.py

Proposals lie as a detector's do: many around each of some segments. Both give the same proposals, which is checked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from featx.localisation.metrics.suppression import SuppressionRule, soft_nms

COUNT, SEGMENTS, DURATION_S = 2000, 30, 200.0
SIGMA, MIN_SCORE = 0.5, 0.001
ROUNDS = 5


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns begins, ends and scores (N,)."""
    rng = np.random.default_rng(seed)
    middles, lengths = rng.uniform(5, DURATION_S - 5, SEGMENTS), np.exp(rng.uniform(0, 3, SEGMENTS))
    which = rng.integers(SEGMENTS, size=COUNT)
    middle = middles[which] + 0.3 * lengths[which] * rng.standard_normal(COUNT)
    length = lengths[which] * np.exp(0.3 * rng.standard_normal(COUNT))
    return middle - length / 2, middle + length / 2, rng.random(COUNT) ** 3


def by_loop(starts: np.ndarray, ends: np.ndarray, scores: np.ndarray, keep: int) -> list[int]:
    """Returns what Gaussian soft-NMS takes, by the paper's loop over Python numbers."""
    segments = list(zip(starts.tolist(), ends.tolist(), strict=True))
    current = dict(enumerate(scores.tolist()))
    taken: list[int] = []
    while current and len(taken) < keep:
        best = max(current, key=lambda index: current[index])
        if current.pop(best) < MIN_SCORE:
            break
        taken.append(best)
        start, end = segments[best]
        for index in current:
            other_start, other_end = segments[index]
            shared = min(end, other_end) - max(start, other_start)
            if shared > 0:
                overlap = shared / ((end - start) + (other_end - other_start) - shared)
                current[index] *= math.exp(-(overlap**2) / SIGMA)
    return taken


def seconds(work: Callable[[], Any]) -> float:
    """Returns the shortest of some rounds."""
    best = math.inf
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


def main() -> None:
    """Prints one line for each number of proposals that are kept."""
    starts, ends, scores = draw(0)
    for keep in (100, 200, COUNT):
        rule = SuppressionRule(sigma=SIGMA, min_score=MIN_SCORE, keep=keep)
        taken, _ = soft_nms(starts, ends, scores, rule)
        assert taken.tolist() == by_loop(starts, ends, scores, keep)
        fast = seconds(lambda rule=rule: soft_nms(starts, ends, scores, rule))
        slow = seconds(lambda k=keep: by_loop(starts, ends, scores, k))
        print(
            f"{COUNT} proposals, at most {keep} kept ({len(taken)} taken): {1e3 * fast:.1f} ms, "
            f"the loop {1e3 * slow:.0f} ms, ratio {slow / fast:.0f}"
        )


if __name__ == "__main__":
    main()
