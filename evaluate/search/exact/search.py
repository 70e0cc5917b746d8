"""Searching a whole store: every stretch in turn, then the best of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from featx.errors import FeatxError
from featx.store.reader import FeatureStore

from .candidates import candidates_of_each
from .hits import Rules, best_spans
from .scan import StretchScan
from .settings import SearchSettings


@dataclass(frozen=True)
class Hit:
    """What was found: consecutive rows of a video.

    Attributes:
        video: Id.
        first_row: First row within the video.
        rows: How many.
        start_s: Where it begins, in seconds; NaN where the store does not know.
        end_s: Where it ends, likewise.
        score: Cosine of its best candidate with the query; or what re-ranking made of it.
    """

    video: str
    first_row: int
    rows: int
    start_s: float
    end_s: float
    score: float

    @property
    def id(self) -> str:
        """The video's id in the store."""
        return self.video


def above(hits: list[Hit], min_score: float | None) -> list[Hit]:
    """Returns the hits that are at least as good as a score; all of them without one."""
    return hits if min_score is None else [hit for hit in hits if hit.score >= min_score]


def rules_of(settings: SearchSettings) -> Rules:
    """Returns when candidates of a level are one hit."""
    if settings.level == "moments":
        return Rules(widen=settings.widen)
    return Rules(apart_s=settings.apart) if settings.level == "frames" else Rules()


def check_has_videos(store: FeatureStore) -> None:
    """Checks that there is something to search.

    Raises:
        FeatxError: If the store has no videos yet.
    """
    if not len(store):
        raise FeatxError(f"{store.path}: has no videos yet; wait for featx extract to commit some")


def open_scans(store: FeatureStore, settings: SearchSettings) -> Iterator[StretchScan]:
    """Yields the parts of a store that are searched; whoever asks several times keeps them in a list.

    Raises:
        FeatxError: If there is nothing to search, or a video is not there.
    """
    check_has_videos(store)
    stretches = store.stretches(list(dict.fromkeys(settings.video)) or None)
    for stretch, candidates in candidates_of_each(store, stretches, settings):
        yield StretchScan(store, stretch, candidates)


def search_exactly(
    scans: Iterable[StretchScan],
    queries: Tensor,
    count: int,
    settings: SearchSettings,
    wanted: Callable[[str], bool] | None = None,
) -> list[list[Hit]]:
    """Compares queries with everything, in one pass for all of them.

    Args:
        scans: What is searched.
        queries: (Q, D) float32 of unit length.
        count: Finds of each query.
        settings: When candidates are one hit.
        wanted: Tells by its id whether a video is looked at; by default all are.

    Returns:
        For each query its hits, the best first; of equally good ones, the one that lies first in the store.
    """
    rules = rules_of(settings)
    found: list[list[Hit]] = [[] for _ in queries]
    for scan in scans:
        offsets, ids = scan.stretch.offsets, scan.stretch.ids
        candidates, of_queries = scan.candidates, scan.scores(queries)
        if wanted is not None:
            chosen = np.flatnonzero(np.array([wanted(video_id) for video_id in ids])[candidates.video])
            candidates, of_queries = candidates.choose(chosen), of_queries[:, chosen]
            if not len(chosen):
                continue
        for number, scores in enumerate(of_queries):
            best = found[number] + [
                Hit(
                    ids[span.video],
                    span.first_row - int(offsets[span.video]),
                    span.past_row - span.first_row,
                    span.start_s,
                    span.end_s,
                    span.score,
                )
                for span in best_spans(candidates, scores, count, rules)
            ]
            found[number] = sorted(best, key=lambda hit: -hit.score)[:count]
    return found
