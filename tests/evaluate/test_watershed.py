"""Watershed: groups by a plain loop, what stands out is found, and nothing is learned."""

import numpy as np
import pytest

from featx.evaluate.localisation.watershed import (
    FLANK,
    LEVELS,
    STEPS_AT_ONCE,
    actionness,
    contrast,
    groups,
    watershed,
)
from featx.localisation.grid import Grid
from featx.localisation.metrics.proposals import average_recall
from featx.localisation.selection import SelectionSettings


def groups_by_loop(score: np.ndarray) -> set[tuple[int, int]]:
    """Step by step: flood, list islands, and let each grow while enough of it is land."""
    found = set()
    for level in LEVELS:
        land = [s >= level for s in score]
        islands = []
        for step, dry in enumerate(land):
            if dry and (step == 0 or not land[step - 1]):
                islands.append([step, step + 1])
            elif dry:
                islands[-1][1] = step + 1
        for first, (begin, end) in enumerate(islands):
            for least in LEVELS:
                last = end
                for _, other_end in islands[first + 1 :]:
                    if sum(land[begin:other_end]) / (other_end - begin) < least:
                        break
                    last = other_end
                found.add((begin, last))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_groups_equal_the_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score = np.clip(np.convolve(rng.random(60), np.ones(3) / 3, "same"), 0, 1)
    spans = groups(score)
    assert {(int(a), int(b)) for a, b in spans} == groups_by_loop(score)
    assert len(spans) == len(groups_by_loop(score))
    for value, (begin, end) in zip(contrast(score, spans), spans, strict=True):
        flank = max(round(FLANK * (end - begin)), 1)
        around = np.concatenate([score[max(begin - flank, 0) : begin], score[end : end + flank]])
        outside = around.mean() if len(around) else 0.0
        assert value == pytest.approx(max(score[begin:end].mean() - outside, 0), abs=1e-9)


def test_what_looks_unlike_the_rest_is_found() -> None:
    rng = np.random.default_rng(0)
    steps = 2 * STEPS_AT_ONCE + 100  # several chunks
    usual = rng.standard_normal(16)
    features = usual + 0.05 * rng.standard_normal((steps, 16))
    begins = np.array([300, 2000, 4090, 7000])  # one lies across two chunks
    ends = begins + [40, 200, 30, 90]
    for begin, end in zip(begins, ends, strict=True):
        features[begin:end] += rng.standard_normal(16)
    grid = Grid(0.0, 0.5, steps, 0.5 * steps)
    asked = []

    def read(first: int, count: int) -> np.ndarray:
        asked.append(count)
        return features[first : first + count]

    score = actionness(read, grid)
    assert score.min() == 0 and score.max() == 1 and max(asked) == STEPS_AT_ONCE
    found = watershed(read, grid, SelectionSettings(keep=10))
    instances = [(0.5 * begins, 0.5 * ends)]
    assert average_recall([(found.start_s, found.end_s)], instances, 10) == 1.0


def test_a_video_in_which_nothing_changes_has_no_proposals() -> None:
    still = np.ones((30, 4))
    grid = Grid(0.0, 1.0, 30, 30.0)
    assert not len(watershed(lambda a, n: still[a : a + n], grid, SelectionSettings()))
