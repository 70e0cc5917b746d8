"""Of proposals that overlap, keeping the best: soft-NMS in three kinds, and voting on where the kept ones begin and end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Suppression = Literal["gaussian", "linear", "hard"]


def overlaps(
    starts: np.ndarray, ends: np.ndarray, other_starts: np.ndarray, other_ends: np.ndarray
) -> np.ndarray:
    """Returns the (M, N) temporal IoU of M segments with N others; 0 where both have no length.

    Args:
        starts: (M,) begins.
        ends: (M,) ends.
        other_starts: (N,) begins.
        other_ends: (N,) ends.
    """
    starts, ends = starts[:, None], ends[:, None]
    shared = np.maximum(np.minimum(ends, other_ends) - np.maximum(starts, other_starts), 0.0)  # (M, N)
    either = (ends - starts) + (other_ends - other_starts) - shared
    overlap: np.ndarray = np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)
    return overlap


@dataclass(frozen=True)
class SuppressionRule:
    """How a proposal that is taken lowers those that it overlaps, and which are taken at all.

    Attributes:
        method: Which factor: exp(-IoU^2 / sigma) (gaussian); 1 - IoU where IoU >= threshold (linear); 0 where IoU >=
            threshold (hard, which is plain NMS).
        sigma: Of gaussian; small is strict.
        threshold: Of the other two.
        min_score: Proposals whose score falls below are dropped.
        keep: How many are taken at most; None for all.
    """

    method: Suppression = "gaussian"
    sigma: float = 0.5
    threshold: float = 0.5
    min_score: float = 0.0
    keep: int | None = None


def soft_nms(
    starts: np.ndarray, ends: np.ndarray, scores: np.ndarray, rule: SuppressionRule
) -> tuple[np.ndarray, np.ndarray]:
    """Takes the best proposal again and again; each one taken lowers the scores of those that it overlaps.

    Of equal scores the earlier in the list is better. Source: Bodla et al., "Soft-NMS",
    ICCV 2017, equations 1 to 3.

    Args:
        starts: (N,) begins.
        ends: (N,) ends.
        scores: (N,) not negative; one of score 0 is never taken.
        rule: By what factor scores are lowered, and which proposals are taken at all.

    Returns:
        (K,) the places of those that were taken, and (K,) their lowered scores, which descend.
    """
    method, sigma, threshold = rule.method, rule.sigma, rule.threshold
    left = scores.astype(np.float64)  # a copy
    starts, ends = starts.astype(np.float64), ends.astype(np.float64)
    lengths = ends - starts
    limit = len(left) if rule.keep is None else min(rule.keep, len(left))
    taken, taken_scores = np.empty(limit, np.int64), np.empty(limit)
    shared, either, zero = np.empty_like(left), np.empty_like(left), np.zeros(())
    for count in range(limit):
        best = int(left.argmax())
        score = left[best]
        if score <= 0 or score < rule.min_score:  # scores only fall: none of the others can come back
            return taken[:count], taken_scores[:count]
        taken[count], taken_scores[count] = best, score
        # `overlaps` for one segment, into arrays that are there already: calls and memory are what costs here
        np.minimum(ends, ends[best], out=shared)
        shared -= np.maximum(starts, starts[best], out=either)
        np.maximum(shared, zero, out=shared)
        np.add(lengths, lengths[best], out=either)
        either -= shared
        touched = np.flatnonzero(shared)
        iou = shared[touched] / either[touched]
        if method == "gaussian":
            factor = np.exp(-(iou**2) / sigma)
        else:
            factor = np.where(iou < threshold, 1.0, 1.0 - iou if method == "linear" else 0.0)
        left[touched] *= factor
        left[best] = 0.0
    return taken, taken_scores


def vote(
    starts: np.ndarray,
    ends: np.ndarray,
    all_starts: np.ndarray,
    all_ends: np.ndarray,
    all_scores: np.ndarray,
    threshold: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Moves kept proposals to the mean of all proposals that overlap them enough, weighted by score times IoU.

    Source: ActionFormer's score voting (libs/utils/nms.py, seg_voting; its first release weighed by score alone).

    Args:
        starts: (K,) begins of the kept.
        ends: (K,) their ends.
        all_starts: (N,) begins of all, before any was suppressed.
        all_ends: (N,) their ends.
        all_scores: (N,) their scores, as they were.
        threshold: Least IoU of those that vote.

    Returns:
        (K,) begins and (K,) ends; unchanged where nobody votes, which only a kept one without length can meet.
    """
    iou = overlaps(starts, ends, all_starts, all_ends)  # (K, N)
    weights = np.where(iou >= threshold, all_scores * iou, 0.0)
    total = weights.sum(axis=1)
    voted = total > 0
    safe = np.where(voted, total, 1.0)
    return (
        np.where(voted, weights @ all_starts / safe, starts),
        np.where(voted, weights @ all_ends / safe, ends),
    )
