"""Intervals of videos as flat arrays, and which of them overlap by how much.

Localisation's metrics take such arrays. Letters of shapes: G instances of the ground truth, P detections, M pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

PAIRS_AT_ONCE = 4_000_000  # bounds the memory of `overlapping_pairs` to a few hundred MB

AnySpans = TypeVar("AnySpans", bound="Spans")


@dataclass(frozen=True)
class Spans:
    """Intervals of videos, in the order of their file.

    Attributes:
        videos: (G,) int64 index of each one's video.
        start_s: (G,) float64 seconds.
        end_s: (G,) float64 seconds, not before `start_s`.
    """

    videos: np.ndarray
    start_s: np.ndarray
    end_s: np.ndarray

    def __len__(self) -> int:
        return len(self.videos)

    def choose(self: AnySpans, chosen: np.ndarray) -> AnySpans:
        """Returns some of them, by index or by a mask."""
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))


@dataclass(frozen=True)
class Instances(Spans):
    """What is annotated.

    Attributes:
        labels: (G,) int64 class indices.
    """

    labels: np.ndarray


@dataclass(frozen=True)
class Detections(Instances):
    """What a program found; of class-agnostic proposals the labels mean nothing.

    Attributes:
        score: (P,) float64, larger is surer.
    """

    score: np.ndarray

    def ranking(self) -> np.ndarray:
        """Returns (P,) indices by descending score; of equal scores the one that stands earlier is first.

        Raises:
            ValueError: If a score is NaN or infinite.
        """
        if not np.isfinite(self.score).all():
            raise ValueError("a score is NaN or infinite")
        return np.argsort(-self.score, kind="stable")

    def ranking_by_class(self) -> np.ndarray:
        """Returns (P,) indices by class, then as `ranking`.

        Raises:
            ValueError: If a score is NaN or infinite.
        """
        ranking = self.ranking()
        labels = self.labels[ranking]
        if labels.max(initial=0) <= np.iinfo(np.uint16).max and labels.min(initial=0) >= 0:
            labels = labels.astype(np.uint16)  # which NumPy sorts by counting, many times as fast
        return ranking[np.argsort(labels, kind="stable")]


def join_detections(parts: Sequence[Detections]) -> Detections:
    """Returns several lists one after another."""
    empty = np.empty(0)
    none = Detections(empty.astype(np.int64), empty, empty, empty.astype(np.int64), empty)
    columns = (
        np.concatenate([getattr(part, field.name) for part in [none, *parts]]) for field in fields(none)
    )
    return Detections(*columns)


def temporal_iou(
    start_a: np.ndarray, end_a: np.ndarray, start_b: np.ndarray, end_b: np.ndarray
) -> np.ndarray:
    """Returns intersection over union; NaN where neither interval has a length.

    Operation by operation ActivityNet's `segment_iou` (Evaluation/utils.py), so that equality with a threshold is decided alike.
    """
    shared = np.maximum(np.minimum(end_a, end_b) - np.maximum(start_a, start_b), 0)
    union = (end_b - start_b) + (end_a - start_a) - shared
    with np.errstate(invalid="ignore"):
        overlap: np.ndarray = shared / union
    return overlap


def overlap_over_hull(
    start_a: np.ndarray, end_a: np.ndarray, start_b: np.ndarray, end_b: np.ndarray
) -> np.ndarray:
    """Returns the intersection over the smallest interval that holds both; 0 where they share no time.

    Operation by operation `intervalsingleoverlapvalseconds` of THUMOS14's evaluation kit. Where two intervals overlap this
    is their intersection over union, up to rounding.
    """
    shared = np.minimum(end_a, end_b) - np.maximum(start_a, start_b)
    hull = np.maximum(end_a, end_b) - np.minimum(start_a, start_b)
    overlap: np.ndarray = np.divide(shared, hull, out=np.zeros_like(hull), where=shared > 0)
    return overlap


Overlap = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Pairs:
    """Pairs of a first and a second interval, and how much they overlap.

    Attributes:
        first: (M,) int64 index.
        second: (M,) int64 index.
        overlap: (M,) float64; infinite for two intervals without length (0/0), which so overlap more than any others.
    """

    first: np.ndarray
    second: np.ndarray
    overlap: np.ndarray

    def choose(self, chosen: np.ndarray) -> Pairs:
        """Returns some of them, by index or by a mask."""
        return Pairs(self.first[chosen], self.second[chosen], self.overlap[chosen])


def overlapping_pairs(
    first: Spans,
    second: Spans,
    overlap: Overlap,
    at_least: float,
    *,
    keys: tuple[np.ndarray, np.ndarray] | None = None,
) -> Pairs:
    """Returns all pairs that overlap, ordered by the first index, then by the second.

    Args:
        first: A intervals.
        second: B intervals.
        overlap: `temporal_iou` or `overlap_over_hull`.
        at_least: Smallest overlap; 0/0 counts as more than any.
        keys: (A,) and (B,) int64; only intervals of equal keys are paired. Without them: those of the same video.
    """
    first_keys, second_keys = keys or (first.videos, second.videos)
    found = []
    for a, b in _equal_keys(first_keys, second_keys):
        shared = overlap(first.start_s[a], first.end_s[a], second.start_s[b], second.end_s[b])
        shared = np.where(np.isnan(shared), np.inf, shared)
        found.append(Pairs(a, b, shared).choose(shared >= at_least))
    if not found:
        nothing = np.empty(0, dtype=np.int64)
        return Pairs(nothing, nothing, np.empty(0))
    return Pairs(*(np.concatenate([getattr(part, field.name) for part in found]) for field in fields(Pairs)))


def _equal_keys(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the indices of all pairs of equal keys, some at a time."""
    by_key = np.argsort(second, kind="stable")
    keys, begins, counts = np.unique(second[by_key], return_index=True, return_counts=True)
    place = np.searchsorted(keys, first)
    there = np.append(keys, 0)[place] == first
    there &= place < len(keys)
    begin, count = (np.where(there, np.append(values, 0)[place], 0) for values in (begins, counts))  # (A,)
    before = np.concatenate([[0], np.cumsum(count)])
    start = 0
    while start < len(first):
        stop = int(np.searchsorted(before, before[start] + PAIRS_AT_ONCE, side="right")) - 1
        stop = max(stop, start + 1)
        counts = count[start:stop]
        within = np.arange(counts.sum()) - np.repeat(before[start:stop] - before[start], counts)
        yield (
            np.repeat(np.arange(start, stop), counts),
            by_key[np.repeat(begin[start:stop], counts) + within],
        )
        start = stop


def take_turns(chooser: np.ndarray, item: np.ndarray, choosers: int, items: int) -> np.ndarray:
    """Lets choosers take an item each, one chooser after another: the first of its wishes that is still there.

    Done for all at once, by deferred acceptance (Gale and Shapley, 1962): everybody asks for the best that has not refused
    them, and an item keeps whoever comes first. As all items prefer the same choosers, the one stable outcome is that of
    taking turns. There are about as many rounds as choosers have wishes, not as there are choosers.

    Args:
        chooser: (M,) who wishes, ascending: 0 has the first turn.
        item: (M,) what; the wishes of one chooser stand in their order.
        choosers: Number of choosers.
        items: Number of items.

    Returns:
        (items,) int64: who took each; `choosers` where nobody did.
    """
    starts = np.flatnonzero(np.diff(chooser, prepend=-1))
    who = chooser[starts]  # only those who wish for something
    nobody = len(who)
    wish, past = starts.copy(), np.append(starts[1:], len(chooser))
    taken_by = np.full(items, nobody, dtype=np.int64)
    asking = np.arange(nobody)
    while asking.size:
        wanted = item[wish[asking]]
        before = taken_by[wanted]
        np.minimum.at(taken_by, wanted, asking)
        won = taken_by[wanted] == asking
        asking = np.concatenate([asking[~won], before[won & (before < nobody)]])  # refused, displaced
        wish[asking] += 1
        asking = asking[wish[asking] < past[asking]]
    return np.append(who, choosers)[taken_by]
