"""Scoring detections: mean average precision, what the wrong ones are, and the recall of proposals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from featx.errors import FeatxError
from featx.localisation.ground_truth import GroundTruth
from featx.localisation.metrics.average_precision import (
    ACTIVITYNET_TIOU,
    RULES,
    THUMOS14_TIOU,
    AveragePrecision,
    Matches,
    area_under_envelope,
    average_precision,
    match,
)
from featx.localisation.metrics.false_positives import Breakdown, best_of_each_class, breakdown
from featx.localisation.metrics.intervals import Detections
from featx.localisation.metrics.proposals import RecallCurve, recall_curve

AVERAGE = "average_map"
RECALL_AT = (1, 5, 10, 50, 100)
TOP = (1, 10)  # DETAD looks at 1 to 10 times as many detections of a class as it has instances
ERRORS_TIOU = 0.5
TIOU_OF = {"activitynet": ACTIVITYNET_TIOU, "thumos14": THUMOS14_TIOU}  # by how a data set's name begins


def default_thresholds(data_set: str) -> tuple[float, ...]:
    """Returns the overlaps that a data set's results are reported at; THUMOS14's for one that is not known."""
    return _known_thresholds(data_set) or THUMOS14_TIOU


def _known_thresholds(data_set: str) -> tuple[float, ...] | None:
    letters = re.sub(r"[^a-z0-9]", "", data_set.casefold())
    return next((overlaps for name, overlaps in TIOU_OF.items() if letters.startswith(name)), None)


def thresholds_notes(data_set: str, tiou: Sequence[float]) -> list[str]:
    """Returns whose overlaps are taken, where nobody has said any and the data set has none of its own."""
    if tiou or _known_thresholds(data_set):
        return []
    return [f"the overlaps are THUMOS14's, as '{data_set}' is no data set with its own; --tiou says others"]


def check_thresholds(tiou: Sequence[float]) -> None:
    """Refuses overlaps that cannot be, or that would count twice in the average.

    Raises:
        FeatxError: Naming the first.
    """
    for place, threshold in enumerate(tiou):
        if not 0 < threshold <= 1:
            raise FeatxError(f"--tiou {threshold:g}: must be more than 0 and at most 1")
        if threshold in tiou[:place]:
            raise FeatxError(
                f"--tiou {threshold:g}: stands there twice, and would count twice in the average"
            )


def metric_name(threshold: float) -> str:
    """Returns the name of the mean average precision at an overlap, such as ``map@0.5``."""
    return f"map@{threshold:g}"


@dataclass(frozen=True)
class ScoredDetections:
    """What detections are worth.

    Attributes:
        truth: What they were scored on.
        detections: P of them.
        rule: Name of the rule.
        thresholds: T overlaps.
        matches: Which are hits.
        precision: Average precision of each class.
    """

    truth: GroundTruth
    detections: Detections
    rule: str
    thresholds: tuple[float, ...]
    matches: Matches
    precision: AveragePrecision

    @property
    def metrics(self) -> dict[str, float]:
        """``map@0.5`` and so on, and ``average_map``, as fractions of 1."""
        means = zip(self.thresholds, self.precision.mean.tolist(), strict=True)
        return {metric_name(threshold): mean for threshold, mean in means} | {AVERAGE: self.precision.average}

    @property
    def not_scored(self) -> int:
        """Number of detections of classes that the split does not show."""
        return int(np.count_nonzero(~np.isin(self.detections.labels, self.precision.labels)))

    @property
    def average_under_envelope(self) -> float:
        """The average as it would be if the same hits were summed up like ActivityNet's program does."""
        return average_precision(
            self.detections, self.truth.instances, self.matches, area_under_envelope
        ).average

    def errors(self) -> tuple[Breakdown, dict[str, dict[str, int]]]:
        """Returns the kinds of all detections at 0.5 (or the lowest overlap), and counts of the best and of all."""
        at = self.thresholds.index(ERRORS_TIOU) if ERRORS_TIOU in self.thresholds else 0
        instances = self.truth.instances
        kinds = breakdown(self.detections, instances, RULES[self.rule], self.matches, at, self.thresholds[at])
        counts = {
            f"top {factor}G": kinds.counts(
                best_of_each_class(self.detections, instances, self.matches, factor)
            )
            for factor in TOP
        }
        return kinds, counts | {"all": kinds.counts()}


def score_detections(
    detections: Detections,
    truth: GroundTruth,
    rule: str = "official",
    thresholds: Sequence[float] | None = None,
) -> ScoredDetections:
    """Scores detections on the annotated split that they belong to.

    Args:
        detections: P of them.
        truth: The split.
        rule: `official`, `dedup` or `thumos-matlab`.
        thresholds: Overlaps; else the data set's own.

    Raises:
        FeatxError: If no instance is left to find.
        ValueError: If a score is NaN or infinite.
    """
    chosen = tuple(thresholds or default_thresholds(truth.data_set))
    matches = match(detections, truth.instances, RULES[rule], chosen, truth.ambiguous)
    if not len(matches.instances):
        raise FeatxError(
            f"{truth.file}: no instance of split '{truth.split}' has a length, so --ap {rule} has none to find"
        )
    precision = average_precision(detections, truth.instances, matches, RULES[rule].area)
    return ScoredDetections(truth, detections, rule, chosen, matches, precision)


@dataclass(frozen=True)
class ScoredProposals:
    """What class-agnostic proposals are worth.

    Attributes:
        truth: What they were scored on.
        thresholds: T overlaps.
        curve: Recall by the number of proposals.
    """

    truth: GroundTruth
    thresholds: tuple[float, ...]
    curve: RecallCurve

    @property
    def metrics(self) -> dict[str, float]:
        """``ar@1`` to ``ar@100``, and ``auc``, as fractions of 1."""
        recall = {f"ar@{number}": self.curve.at(number) for number in RECALL_AT}
        return recall | {"auc": self.curve.area}


def score_proposals(
    proposals: Detections, truth: GroundTruth, thresholds: Sequence[float] = ACTIVITYNET_TIOU
) -> ScoredProposals:
    """Scores class-agnostic proposals.

    Args:
        proposals: P of them; their classes do not matter.
        truth: What they are scored on.
        thresholds: Overlaps.

    Raises:
        FeatxError: If there is no proposal in a video that shows something.
    """
    try:
        curve = recall_curve(proposals, truth.instances, thresholds)
    except ValueError as error:
        raise FeatxError(f"{truth.file}: average recall of split '{truth.split}': {error}") from error
    return ScoredProposals(truth, tuple(thresholds), curve)
