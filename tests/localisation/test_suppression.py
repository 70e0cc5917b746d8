"""Soft-NMS and voting equal plain loops over pairs of proposals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.localisation.metrics.proposals import average_recall
from featx.localisation.metrics.suppression import SuppressionRule, overlaps, soft_nms, vote

METHODS = ["gaussian", "linear", "hard"]


def iou(one: tuple[float, float], other: tuple[float, float]) -> float:
    shared = max(min(one[1], other[1]) - max(one[0], other[0]), 0)
    either = (one[1] - one[0]) + (other[1] - other[0]) - shared
    return shared / either if either > 0 else 0.0


def by_loop(segments, scores, method, sigma, threshold, min_score, keep):
    """As the paper's figure 3 has it: nothing but lists."""
    left = list(range(len(segments)))
    current = dict(enumerate(scores))
    taken = []
    while left and len(taken) < keep:
        best = max(left, key=lambda index: (current[index], -index))
        if current[best] < min_score or current[best] <= 0:
            break
        taken.append((best, current[best]))
        left.remove(best)
        for index in left:
            overlap = iou(segments[best], segments[index])
            if method == "gaussian":
                current[index] *= math.exp(-(overlap**2) / sigma)
            elif overlap >= threshold and overlap > 0:
                current[index] *= 1 - overlap if method == "linear" else 0
    return taken


def draw(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Proposals with ties, repeated ones, and ones without length."""
    rng = np.random.default_rng(seed)
    starts = np.round(rng.uniform(0, 60, count), 1)
    ends = starts + np.round(rng.exponential(8, count), 1) * (rng.random(count) > 0.05)
    scores = np.round(rng.random(count), 2)
    again = rng.integers(0, count, count // 10)
    starts[: len(again)], ends[: len(again)] = starts[again], ends[again]
    return starts, ends, scores


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.sampled_from([0.0, 0.001, 0.2]), st.integers(1, 60))
def test_soft_nms_equals_the_loop(method, seed, count, min_score, keep):
    starts, ends, scores = draw(seed, count)
    places, lowered = soft_nms(starts, ends, scores, SuppressionRule(method, 0.4, 0.3, min_score, keep))
    expected = by_loop(list(zip(starts, ends, strict=True)), scores, method, 0.4, 0.3, min_score, keep)
    assert places.tolist() == [place for place, _ in expected]
    np.testing.assert_allclose(lowered, [score for _, score in expected], rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([0.3, 0.7, 1.0]))
def test_voting_equals_the_loop(seed, count, threshold):
    starts, ends, scores = draw(seed, count)
    kept, _ = soft_nms(starts, ends, scores, SuppressionRule(keep=7))
    voted = np.stack(vote(starts[kept], ends[kept], starts, ends, scores, threshold), axis=1)
    for row, place in zip(voted, kept, strict=True):
        own = (starts[place], ends[place])
        shared = {n: iou(own, (starts[n], ends[n])) for n in range(count)}
        weight = {n: scores[n] * one for n, one in shared.items() if one >= threshold}
        total = sum(weight.values())
        mean = [sum(weight[n] * edge[n] for n in weight) / total for edge in (starts, ends)] if total else own
        np.testing.assert_allclose(row, mean, rtol=1e-12)


def test_voting_by_hand():
    """Kept [10, 20] with score 0.9; [10, 14] with 0.8 overlaps it by 4 / 10, [10, 20.5] with 0.5 by 10 / 10.5.

    End: (0.9 * 20 + 0.8 * 0.4 * 14 + 0.5 * 0.95238 * 20.5) / (0.9 + 0.32 + 0.47619) = 32.24190 / 1.69619 = 19.0084;
    at a threshold of 0.5 the second has no say: (18 + 9.76190) / (0.9 + 0.47619) = 20.1730. By score alone: 17.93.
    """
    starts, ends, scores = (
        np.array([10.0, 10.0, 10.0]),
        np.array([20.0, 14.0, 20.5]),
        np.array([0.9, 0.8, 0.5]),
    )
    for threshold, end in ((0.3, 19.0084), (0.5, 20.1730), (0.96, 20.0)):
        voted = vote(starts[:1], ends[:1], starts, ends, scores, threshold)
        np.testing.assert_allclose(np.concatenate(voted), [10.0, end], atol=5e-5)
    # [0, 4] and [2, 6] share 2 of 6 s: each counts a third to the other; begin (0 + 2 / 3) / (4 / 3) = 0.5
    voted = vote(
        np.array([0.0]), np.array([4.0]), np.array([0.0, 2.0]), np.array([4.0, 6.0]), np.ones(2), 0.3
    )
    np.testing.assert_allclose(np.concatenate(voted), [0.5, 4.5], rtol=1e-12)


def test_hard_suppression_leaves_nothing_that_overlaps_too_much():
    starts, ends, scores = draw(3, 300)
    kept, lowered = soft_nms(starts, ends, scores, SuppressionRule("hard", threshold=0.4))
    pairs = overlaps(starts[kept], ends[kept], starts[kept], ends[kept])
    assert (pairs[~np.eye(len(kept), dtype=bool)] < 0.4).all()
    np.testing.assert_array_equal(lowered, scores[kept])


@pytest.mark.parametrize("method", METHODS)
def test_scores_descend_and_no_proposals_are_no_trouble(method):
    starts, ends, scores = draw(4, 200)
    assert (np.diff(soft_nms(starts, ends, scores, SuppressionRule(method))[1]) <= 0).all()
    nothing = np.empty(0)
    assert not len(soft_nms(nothing, nothing, nothing, SuppressionRule(method))[0])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_average_recall_equals_the_loop(seed, most):
    rng = np.random.default_rng(seed)
    instances = [draw(int(rng.integers(10**6)), count)[:2] for count in rng.integers(0, 4, 3)]
    instances.append(draw(seed, 2)[:2])
    proposals = [draw(int(rng.integers(10**6)), 8)[:2] for _ in instances]
    found = total = 0
    for (starts, ends), (found_starts, found_ends) in zip(instances, proposals, strict=True):
        for span in zip(starts, ends, strict=True):
            for threshold in np.linspace(0.5, 0.95, 10):
                pairs = zip(found_starts[:most], found_ends[:most], strict=True)
                found += any(iou(span, pair) >= threshold for pair in pairs)
                total += 1
    assert average_recall(proposals, instances, most) == pytest.approx(found / total, abs=1e-12)
