"""Searching a whole store: every stretch in turn, then the best of all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from featx.errors import FeatxError
from featx.store.reader import FeatureStore

from .candidates import units_of_each
from .hits import Rules, best_runs
from .scan import Scan
from .settings import SearchSettings


@dataclass(frozen=True)
class Find:
    """What was found: a run of rows of a video.

    Attributes:
        video: Id.
        first_row: First row within the video.
        rows: How many.
        start_s: Where it begins, in seconds; NaN where the store does not know.
        end_s: Where it ends, likewise.
        score: Cosine of its best unit with the query; or what re-ranking made of it.
    """

    video: str
    first_row: int
    rows: int
    start_s: float
    end_s: float
    score: float


def rules_of(settings: SearchSettings) -> Rules:
    """Returns when units of a level are one find."""
    if settings.level == "moments":
        return Rules(widen=settings.widen)
    return Rules(apart_s=settings.apart) if settings.level == "frames" else Rules()


def check_has_videos(store: FeatureStore) -> None:
    """Raises a FeatxError if there is nothing to search."""
    if not len(store):
        raise FeatxError(f"{store.path}: has no videos yet; wait for featx extract to commit some")


def open_scans(store: FeatureStore, settings: SearchSettings) -> Iterator[Scan]:
    """Yields the parts of a store that are searched; whoever asks several times keeps them in a list.

    Raises:
        FeatxError: If there is nothing to search, or a video is not there.
    """
    check_has_videos(store)
    stretches = store.stretches(list(dict.fromkeys(settings.video)) or None)
    for stretch, units in units_of_each(store, stretches, settings):
        yield Scan(store, stretch, units)


def search_exactly(
    scans: Iterable[Scan], queries: Tensor, count: int, settings: SearchSettings
) -> list[list[Find]]:
    """Compares queries with everything, in one pass for all of them.

    Args:
        scans: What is searched.
        queries: (Q, D) float32 of unit length.
        count: Finds of each query.
        settings: When units are one find.

    Returns:
        For each query its finds, the best first; of equally good ones, the one that lies first in the store.
    """
    rules = rules_of(settings)
    found: list[list[Find]] = [[] for _ in queries]
    for scan in scans:
        offsets, ids = scan.stretch.offsets, scan.stretch.ids
        for number, scores in enumerate(scan.scores(queries)):
            best = found[number] + [
                Find(
                    ids[run.video],
                    run.first_row - int(offsets[run.video]),
                    run.past_row - run.first_row,
                    run.start_s,
                    run.end_s,
                    run.score,
                )
                for run in best_runs(scan.units, scores, count, rules)
            ]
            found[number] = sorted(best, key=lambda find: -find.score)[:count]
    return found
