"""Proposals: average recall, in two senses that must not be mixed.

`recall_curve` is ActivityNet's: every video gives the same share of its own proposals, so that N is an average.
`average_recall` takes the same number N of every video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from featx.localisation.metrics.average_precision import ACTIVITYNET_TIOU
from featx.localisation.metrics.intervals import Detections, Spans, overlapping_pairs, temporal_iou
from featx.localisation.metrics.suppression import overlaps

BeginsAndEnds = tuple[np.ndarray, np.ndarray]
POINTS = 100  # of the curve, in ActivityNet's program


@dataclass(frozen=True)
class RecallCurve:
    """Recall of instances, whatever their class, by the best proposals of each video.

    Attributes:
        number: (100,) average number of proposals of a video, ascending.
        recall: (T, 100) at each threshold.
    """

    number: np.ndarray
    recall: np.ndarray

    @property
    def average(self) -> np.ndarray:
        """(100,) recall averaged over the thresholds."""
        average: np.ndarray = self.recall.mean(axis=0)
        return average

    @property
    def area(self) -> float:
        """Area under average recall against average number, as a fraction of the largest there could be (AUC)."""
        return float(np.trapezoid(self.average, self.number) / self.number[-1])

    def at(self, number: float) -> float:
        """Returns the average recall with that many proposals of a video, on average (AR@N)."""
        return float(np.interp(number, self.number, self.average))


def recall_curve(
    proposals: Detections,
    instances: Spans,
    thresholds: Sequence[float] = ACTIVITYNET_TIOU,
    most: float = 100,
) -> RecallCurve:
    """Returns recall against number: each video gives the same share of its own proposals, the best first.

    The numbers are those of `average_recall_vs_avg_nr_proposals` (ActivityNet's Evaluation/eval_proposal.py), rounding
    included; videos without instances do not count, only the number of their proposals does, as there.

    Args:
        proposals: P of them; their labels do not matter.
        instances: The ground truth.
        thresholds: T overlaps.
        most: Largest average number of proposals.

    Raises:
        ValueError: If there is no instance, no proposal in a video that has one, or a score is not finite.
    """
    if not len(instances):
        raise ValueError("no instance")
    ranked = proposals.choose(proposals.ranking())
    videos = np.unique(instances.videos)
    given = np.bincount(ranked.videos, minlength=int(videos[-1]) + 1)[videos]
    ratio = most * len(videos) / max(len(ranked), 1)
    kept = np.minimum((given * ratio).astype(np.int64), given)
    if not kept.sum():
        raise ValueError("no proposal in a video that has an instance")
    share = np.arange(1, POINTS + 1) / POINTS * (most * len(videos) / kept.sum())
    allowed = np.minimum((kept[:, None] * share).astype(np.int64), kept[:, None])  # (V, 100)
    rank = _rank_in_video(ranked.videos)
    pairs = overlapping_pairs(instances, ranked, temporal_iou, min(thresholds))
    recall = np.empty((len(thresholds), POINTS))
    allowed = allowed[np.searchsorted(videos, instances.videos)]  # (G, 100)
    for at, threshold in enumerate(thresholds):
        # 0/0 is no match here: the program asks for NaN >= threshold
        good = pairs.choose((pairs.overlap >= threshold) & np.isfinite(pairs.overlap))
        first = np.full(len(instances), np.iinfo(np.int64).max)
        np.minimum.at(first, good.first, rank[good.second])
        recall[at] = (first[:, None] < allowed).mean(axis=0)
    return RecallCurve(share * (kept.sum() / len(videos)), recall)


def _rank_in_video(videos: np.ndarray) -> np.ndarray:
    """Returns (P,) how many proposals of the same video stand before each."""
    by_video = np.argsort(videos, kind="stable")
    begin = np.searchsorted(videos[by_video], videos[by_video], side="left")
    rank = np.empty(len(videos), dtype=np.int64)
    rank[by_video] = np.arange(len(videos)) - begin
    return rank


def average_recall(
    proposals: Sequence[BeginsAndEnds],
    instances: Sequence[BeginsAndEnds],
    most: int,
    thresholds: Sequence[float] = ACTIVITYNET_TIOU,
) -> float:
    """Returns the share of instances that a proposal of their video overlaps enough, averaged over thresholds (AR@N).

    As in ActivityNet's proposal task one proposal may find several instances. Other than there, every video has the
    same number of proposals, not the same share of its own.

    Args:
        proposals: Of each video, begins and ends, the best first.
        instances: Of each video, begins and ends of the ground truth.
        most: Proposals of a video that count.
        thresholds: Overlaps that are enough.

    Raises:
        ValueError: If there is no instance at all.
    """
    best = [
        overlaps(starts, ends, found_starts[:most], found_ends[:most]).max(axis=1, initial=0.0)
        for (found_starts, found_ends), (starts, ends) in zip(proposals, instances, strict=True)
    ]
    each = np.concatenate(best) if best else np.empty(0)  # (G,) best overlap of each instance
    if not len(each):
        raise ValueError("no instance")
    return float((each[:, None] >= np.asarray(thresholds)).mean())
