"""Localisation: average precision at thresholds of temporal overlap, by three rules.

`official` is ActivityNet's program (Evaluation/eval_detection.py), `dedup` the same without instances that repeat or have no
length, `thumos-matlab` THUMOS14's updated kit (TH14evalDet_Updated.m). docs/localisation.md says how they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from featx.metrics.intervals import (
    Detections,
    Instances,
    Overlap,
    Pairs,
    Spans,
    overlap_over_hull,
    overlapping_pairs,
    take_turns,
    temporal_iou,
)

RuleName = Literal["official", "dedup", "thumos-matlab"]

# ActivityNet's ten, as its program makes them; THUMOS14's as literals, since linspace(.3, .7, 5) has 0.39999999999999997.
ACTIVITYNET_TIOU: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
THUMOS14_TIOU: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7)


def area_under_envelope(precision: np.ndarray, hits: np.ndarray) -> float:
    """Returns the sum, at the hits, of the largest precision from there on (ActivityNet's `interpolated_prec_rec`)."""
    return float(np.maximum.accumulate(precision[::-1])[::-1][hits].sum())


def precision_at_hits(precision: np.ndarray, hits: np.ndarray) -> float:
    """Returns the sum, at the hits, of the precision (`prap` of THUMOS14's updated kit)."""
    return float(precision[hits].sum())


Area = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Rule:
    """How detections are matched with the ground truth.

    Attributes:
        overlap: How overlap is measured.
        strict: Whether overlap must be more than the threshold, not at least it.
        instances_choose: Instances take detections in the order of the file, instead of detections by score instances.
        drops_ambiguous: Whether a detection that is no hit and overlaps an ambiguous interval is left out.
        cleans: Whether instances that repeat or have no length are left out.
        area: What is summed over the hits.
    """

    overlap: Overlap = temporal_iou
    strict: bool = False
    instances_choose: bool = False
    drops_ambiguous: bool = False
    cleans: bool = False
    area: Area = area_under_envelope

    def reaches(self, overlap: np.ndarray, threshold: float) -> np.ndarray:
        """Tells where an overlap suffices."""
        return overlap > threshold if self.strict else overlap >= threshold


RULES: dict[str, Rule] = {
    "official": Rule(),
    "dedup": Rule(cleans=True),
    "thumos-matlab": Rule(
        overlap_over_hull, strict=True, instances_choose=True, drops_ambiguous=True, area=precision_at_hits
    ),
}


@dataclass(frozen=True)
class Matches:
    """Which detections are hits.

    Attributes:
        ranking: (P,) detections by descending score.
        hits: (T, P) bool.
        counts: (T, P) bool: hits, and those that are wrong; the others are left out.
        instances: (G,) indices of the instances that the rule looks at.
        found: (T, G) bool, over those instances: whether some detection hit it.
    """

    ranking: np.ndarray
    hits: np.ndarray
    counts: np.ndarray
    instances: np.ndarray
    found: np.ndarray

    def by_class(self, labels: np.ndarray) -> np.ndarray:
        """Returns (P,) detections by class, then by descending score."""
        return self.ranking[np.argsort(labels[self.ranking], kind="stable")]


@dataclass(frozen=True)
class AveragePrecision:
    """Average precision of each class that the ground truth shows.

    Attributes:
        labels: (C,) class indices, ascending.
        positives: (C,) instances of each.
        ap: (T, C).
    """

    labels: np.ndarray
    positives: np.ndarray
    ap: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """(T,) mean over the classes: mAP at each threshold."""
        return self.ap.mean(axis=1)

    @property
    def average(self) -> float:
        """Mean of mAP over the thresholds."""
        return float(self.mean.mean())


def without_repeats(instances: Instances) -> np.ndarray:
    """Returns the indices of the instances that have a length and do not repeat an earlier one exactly."""
    columns = (instances.end_s, instances.start_s, instances.labels, instances.videos)
    order = np.lexsort(columns)  # stable: the first of equal ones stands first
    differs = np.ones(len(instances), dtype=bool)
    differs[1:] = np.any([np.diff(column[order]) != 0 for column in columns], axis=0)
    return np.sort(order[differs & (instances.end_s > instances.start_s)[order]])


def match(
    detections: Detections,
    instances: Instances,
    rule: Rule,
    thresholds: Sequence[float],
    ambiguous: Spans | None = None,
) -> Matches:
    """Matches detections with instances of the same video and class, each with at most one.

    Args:
        detections: P of them.
        instances: The ground truth.
        rule: One of `RULES`.
        thresholds: T overlaps.
        ambiguous: Intervals, of whatever class, where a detection is neither right nor wrong.

    Raises:
        ValueError: If a score is NaN or infinite.
    """
    ranking = detections.ranking()
    ranked = detections.choose(ranking)
    kept = without_repeats(instances) if rule.cleans else np.arange(len(instances))
    wanted = instances.choose(kept)
    pairs = _wishes(ranked, wanted, rule, min(thresholds))
    ranked_hits = np.zeros((len(thresholds), len(ranked)), dtype=bool)
    found = np.zeros((len(thresholds), len(wanted)), dtype=bool)
    for at, threshold in enumerate(thresholds):
        good = pairs.choose(rule.reaches(pairs.overlap, threshold))
        if rule.instances_choose:
            taken_by = take_turns(good.first, good.second, len(wanted), len(ranked))
            ranked_hits[at] = taken_by < len(wanted)
            found[at, taken_by[ranked_hits[at]]] = True
        else:
            taken_by = take_turns(good.first, good.second, len(ranked), len(wanted))
            found[at] = taken_by < len(ranked)
            ranked_hits[at, taken_by[found[at]]] = True
    hits = np.zeros_like(ranked_hits)
    hits[:, ranking] = ranked_hits
    counts = np.ones_like(hits)
    if rule.drops_ambiguous and ambiguous is not None:
        spared = overlapping_pairs(detections, ambiguous, rule.overlap, np.nextafter(0, 1)).first
        counts[:, spared] = False
        counts |= hits
    return Matches(ranking, hits, counts, kept, found)


def _wishes(ranked: Detections, instances: Instances, rule: Rule, at_least: float) -> Pairs:
    """Returns pairs of chooser and item in the order of turns and, for each chooser, by descending overlap."""
    classes = 1 + max(ranked.labels.max(initial=0), instances.labels.max(initial=0))
    keys = [spans.videos * classes + spans.labels for spans in (ranked, instances)]
    if rule.instances_choose:
        pairs = overlapping_pairs(instances, ranked, rule.overlap, at_least, keys=(keys[1], keys[0]))
    else:
        pairs = overlapping_pairs(ranked, instances, rule.overlap, at_least, keys=(keys[0], keys[1]))
    return pairs.choose(np.lexsort((pairs.second, -pairs.overlap, pairs.first)))


def average_precision(
    detections: Detections, instances: Instances, matches: Matches, area: Area = area_under_envelope
) -> AveragePrecision:
    """Returns the average precision of each class that has an instance; 0 for one without detections.

    Args:
        detections: P of them.
        instances: The ground truth.
        matches: Of the two, by `match`.
        area: `Rule.area`.
    """
    labels, positives = np.unique(instances.labels[matches.instances], return_counts=True)
    by_class = matches.by_class(detections.labels)
    begin, past = (np.searchsorted(detections.labels[by_class], labels, side) for side in ("left", "right"))
    ap = np.zeros((len(matches.hits), len(labels)))
    for at, (all_hits, all_counts) in enumerate(zip(matches.hits, matches.counts, strict=True)):
        hits, counts = all_hits[by_class], all_counts[by_class]
        for index in range(len(labels)):
            of_class = slice(begin[index], past[index])
            scored = hits[of_class][counts[of_class]]
            precision = np.cumsum(scored) / np.arange(1, len(scored) + 1)
            ap[at, index] = area(precision, scored) / positives[index]
    return AveragePrecision(labels, positives, ap)
