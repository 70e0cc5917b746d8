"""Localisation: average precision at thresholds of temporal overlap, by three rules.

`official` is ActivityNet's program (Evaluation/eval_detection.py), `dedup` the same without instances that repeat or have no
length, `thumos-matlab` THUMOS14's updated kit (TH14evalDet_Updated.m). docs/localisation.md says how they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from featx.localisation.metrics.intervals import (
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


def area_under_envelope(precision: np.ndarray) -> np.ndarray:
    """Returns the sum, at the hits, of the largest precision from there on (ActivityNet's `interpolated_prec_rec`).

    Between two hits precision only falls, so that the largest from a hit on is that of a hit.

    Args:
        precision: (C, K) at the hits of each class in the order of scores; 0 where a class has fewer.
    """
    area: np.ndarray = np.maximum.accumulate(precision[:, ::-1], axis=1).sum(axis=1)
    return area


def precision_at_hits(precision: np.ndarray) -> np.ndarray:
    """Returns the sum, at the hits, of the precision (`prap` of THUMOS14's updated kit); see `area_under_envelope`."""
    total: np.ndarray = precision.sum(axis=1)
    return total


Area = Callable[[np.ndarray], np.ndarray]


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
        ranking: (P,) detections by class, then by descending score.
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
        mean: np.ndarray = self.ap.mean(axis=1)
        return mean

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
    ranking = detections.ranking_by_class()
    kept = without_repeats(instances) if rule.cleans else np.arange(len(instances))
    wanted = instances.choose(kept)
    classes = 1 + max(detections.labels.max(initial=0), instances.labels.max(initial=0))
    keys, wanted_keys = (spans.videos * classes + spans.labels for spans in (detections, wanted))
    able = ranking[
        np.isin(keys, wanted_keys)[ranking]
    ]  # those that an instance of their video and class is there for
    pairs = _wishes(detections.choose(able), wanted, rule, min(thresholds), (keys[able], wanted_keys))
    if not rule.instances_choose:
        pairs = _without_hopeless(pairs, rule, thresholds)
    hits = np.zeros((len(thresholds), len(detections)), dtype=bool)
    found = np.zeros((len(thresholds), len(wanted)), dtype=bool)
    for at, threshold in enumerate(thresholds):
        good = pairs.choose(rule.reaches(pairs.overlap, threshold))
        if rule.instances_choose:
            taken_by = take_turns(good.first, good.second, len(wanted), len(able))
            taken = taken_by < len(wanted)
            hits[at, able[taken]] = found[at, taken_by[taken]] = True
        else:
            taken_by = take_turns(good.first, good.second, len(able), len(wanted))
            found[at] = taken_by < len(able)
            hits[at, able[taken_by[found[at]]]] = True
    counts = np.ones_like(hits)
    if rule.drops_ambiguous and ambiguous is not None:
        spared = overlapping_pairs(detections, ambiguous, rule.overlap, np.nextafter(0, 1)).first
        counts[:, spared] = False
        counts |= hits
    return Matches(ranking, hits, counts, kept, found)


def _wishes(
    able: Detections,
    instances: Instances,
    rule: Rule,
    at_least: float,
    keys: tuple[np.ndarray, np.ndarray],
) -> Pairs:
    """Returns pairs of chooser and item in the order of turns and, for each chooser, by descending overlap."""
    if rule.instances_choose:
        pairs = overlapping_pairs(instances, able, rule.overlap, at_least, keys=keys[::-1])
    else:
        pairs = overlapping_pairs(able, instances, rule.overlap, at_least, keys=keys)
    # they come by chooser, then by item: only those of choosers with a choice need sorting
    several = np.flatnonzero(_has_several(pairs.first))
    some = pairs.choose(several)
    order = np.arange(len(pairs.first))
    order[several] = several[np.lexsort((some.second, -some.overlap, some.first))]
    return pairs.choose(order)


def _has_several(chooser: np.ndarray) -> np.ndarray:
    """Returns (M,) whether a chooser has another pair, too; choosers ascend."""
    first, last = np.diff(chooser, prepend=-1) != 0, np.diff(chooser, append=-1) != 0
    several: np.ndarray = ~(first & last)
    return several


def _without_hopeless(pairs: Pairs, rule: Rule, thresholds: Sequence[float]) -> Pairs:
    """Leaves out pairs whose detection never gets the instance, and wishes for no other.

    So it is if an earlier detection that wishes for this instance alone, too, reaches all thresholds that this one does:
    whenever it is this one's turn, the instance is taken. Of many detections around one instance few are left.
    """
    reached = np.zeros(len(pairs.first), dtype=np.int64)
    for threshold in thresholds:
        reached += rule.reaches(pairs.overlap, threshold)
    alone = np.flatnonzero(~_has_several(pairs.first))
    alone = alone[np.argsort(pairs.second[alone], kind="stable")]  # by instance, in the order of turns
    level = pairs.second[alone] * (len(thresholds) + 1) + reached[alone]
    most_before = np.maximum.accumulate(np.insert(level, 0, -1))[
        :-1
    ]  # of an earlier instance it is less than any of this
    stays = np.ones(len(pairs.first), dtype=bool)
    stays[alone[level <= most_before]] = False
    return pairs.choose(stays)


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
    ranked = detections.labels[matches.ranking]
    place = np.empty(len(ranked), dtype=np.int64)
    place[matches.ranking] = np.arange(len(ranked))  # of each detection among all by class and score
    begin = np.searchsorted(ranked, labels)
    ap = np.zeros((len(matches.hits), len(labels)))
    for at, counts in enumerate(matches.counts):
        hits = np.sort(place[np.flatnonzero(matches.hits[at])])
        of_class = np.searchsorted(labels, ranked[hits])  # a hit has its instance's class
        number = hits - begin[of_class] + 1  # how many of the class there are up to this one
        if not counts.all():
            left_out = np.append(0, np.cumsum(~counts[matches.ranking]))
            number -= left_out[hits] - left_out[begin[of_class]]
        right = np.arange(len(hits)) - np.searchsorted(of_class, of_class) + 1  # how many of them are hits
        precision = np.zeros((len(labels), right.max(initial=0)))
        precision[of_class, right - 1] = right / number
        ap[at] = area(precision) / positives
    return AveragePrecision(labels, positives, ap)
