"""What wrong detections are: Alwassel et al., "Diagnosing Error in Temporal Action Detectors" (DETAD), ECCV 2018.

Each wrong detection is looked at beside the instance of its video that it overlaps most, whatever its class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from featx.localisation.metrics.average_precision import Matches, Rule
from featx.localisation.metrics.intervals import Detections, Instances, overlapping_pairs

BACKGROUND_TIOU = 0.1  # DETAD's `min_tiou_thr`

KINDS: tuple[str, ...] = (
    "true positive",
    "double detection",
    "wrong label",
    "localisation",
    "confusion",
    "background",
    "ambiguous",
)
HIT, DOUBLE, WRONG_LABEL, LOCALISATION, CONFUSION, BACKGROUND, AMBIGUOUS = range(len(KINDS))


@dataclass(frozen=True)
class Breakdown:
    """Kinds of detections at one threshold.

    Attributes:
        threshold: Overlap that a hit needs.
        kinds: (P,) index into `KINDS` of each detection.
        instances: Number of instances.
        missed: How many of them no detection hit.
    """

    threshold: float
    kinds: np.ndarray
    instances: int
    missed: int

    def counts(self, chosen: np.ndarray | None = None) -> dict[str, int]:
        """Returns how many detections, or how many of some, are of each kind."""
        kinds = self.kinds if chosen is None else self.kinds[chosen]
        numbers = np.bincount(kinds, minlength=len(KINDS))
        return dict(zip(KINDS, numbers.tolist(), strict=True))


def breakdown(
    detections: Detections, instances: Instances, rule: Rule, matches: Matches, at: int, threshold: float
) -> Breakdown:
    """Returns the kind of each detection.

    double detection: overlaps an instance of its class enough, which another detection has; wrong label: overlaps one of
    another class enough; localisation and confusion: the same with less overlap, but at least 0.1; background: less.

    Args:
        detections: P of them.
        instances: The ground truth.
        rule: That they were matched by.
        matches: By `match`.
        at: Index of the threshold among those of the matches.
        threshold: The threshold.
    """
    looked_at = instances.choose(matches.instances)
    pairs = overlapping_pairs(detections, looked_at, rule.overlap, min(BACKGROUND_TIOU, threshold))
    pairs = pairs.choose(np.lexsort((pairs.second, -pairs.overlap, pairs.first)))
    beside, most = np.unique(
        pairs.first, return_index=True
    )  # the most overlapping instance of each detection
    overlap = pairs.overlap[most]
    same = looked_at.labels[pairs.second[most]] == detections.labels[beside]
    enough = rule.reaches(overlap, threshold)
    near = np.where(same, LOCALISATION, CONFUSION)
    kinds = np.full(len(detections), BACKGROUND, dtype=np.int64)
    kinds[beside] = np.where(
        enough,
        np.where(same, DOUBLE, WRONG_LABEL),
        np.where(overlap >= BACKGROUND_TIOU, near, BACKGROUND),
    )
    kinds[~matches.counts[at]] = AMBIGUOUS
    kinds[matches.hits[at]] = HIT
    found = matches.found[at]
    return Breakdown(threshold, kinds, len(found), int(np.count_nonzero(~found)))


def best_of_each_class(
    detections: Detections, instances: Instances, matches: Matches, factor: int
) -> np.ndarray:
    """Returns the indices of the best detections of each class, `factor` times as many as it has instances.

    DETAD's "top 1G" to "top 10G"; classes without instances have none.
    """
    classes = 1 + max(detections.labels.max(initial=0), instances.labels.max(initial=0))
    positives = np.bincount(instances.labels[matches.instances], minlength=classes)
    by_class = matches.ranking
    labels = detections.labels[by_class]
    rank = np.arange(len(labels)) - np.searchsorted(labels, labels, side="left")
    top: np.ndarray = by_class[rank < factor * positives[labels]]
    return top
