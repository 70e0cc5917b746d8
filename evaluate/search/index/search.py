"""A FAISS index of a store's candidates, for millions of them: approximate, and honest about how much it misses.

It goes on with its store: videos that have come are added to it, and those that have left are not found any more. It
knows videos by where their rows lie (`videos`) and asks the open store for their ids. `files` says what lies in its
folder, `build` how it is made.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from featx.errors import FeatxError
from featx.store.reader import FeatureStore

from ..exact.candidates import candidates_of_each
from ..exact.hits import FIRST_LOOK, HitSpan, merge
from ..exact.scan import StretchScan
from ..exact.search import Hit, check_has_videos, rules_of
from ..exact.settings import SearchSettings
from .build import IndexRequest, extend_index, make_index
from .cells import damaged, import_faiss
from .files import StoredIndex, locked, read_index
from .header import IndexHeader
from .videos import numbers_now, shards_now, stretches_without

DEAD_SHARE = 1 / 3  # of vectors whose videos have left the store: above it they are taken out
SEEN_SHARE = 1 / 2  # of vectors that were there when the cells were learned: below it they are learned anew
LARGEST_COSINE = 1.001  # vectors in half precision may be a little longer than 1


@dataclass(frozen=True)
class SearchIndex:
    """An index beside the store as it is now.

    Attributes:
        stored: The index.
        store: The store.
        number: (V,) number in the store of each video of the index; negative for those that have left it.
    """

    stored: StoredIndex
    store: FeatureStore
    number: np.ndarray

    @property
    def header(self) -> IndexHeader:
        """What it was made of."""
        return self.stored.header

    @cached_property
    def is_alive(self) -> np.ndarray:
        """(M,) whether the video of each vector is still in the store."""
        alive: np.ndarray = self.number[self.stored.candidates.video] >= 0
        return alive

    @cached_property
    def dead(self) -> int:
        """How many vectors' videos have left the store."""
        return len(self.is_alive) - int(self.is_alive.sum())

    @cached_property
    def _selected(self) -> np.ndarray:
        return np.packbits(self.is_alive, bitorder="little")

    def search(self, queries: Tensor, count: int, settings: SearchSettings) -> list[list[Hit]]:
        """Returns each query's hits, as `search_exactly` does, of what the index finds.

        Raises:
            Damaged: If a cell that is looked at is not as it was written.
        """
        return [self._search(query[None], count, settings) for query in queries.numpy()]

    def _search(self, query: np.ndarray, count: int, settings: SearchSettings) -> list[Hit]:
        rules, candidates = rules_of(settings), self.stored.candidates
        look = FIRST_LOOK * count
        while True:
            look = min(look, len(candidates))
            numbers, scores = self._nearest(query, look, settings.probe)
            number = self.number[candidates.video[numbers]]
            # Of equal ones the first in the store, as in an exact search.
            order = np.lexsort([numbers, self.store.index.shard_of[number]])
            scores = scores[order]
            chosen = replace(candidates.choose(numbers[order]), video=number[order])
            spans = merge(chosen, scores, np.arange(len(scores)), rules)
            lowest = scores.min() if len(scores) else -math.inf
            # Not among those that are as good as the last one: which of them FAISS returns is chance.
            enough = len(spans) >= count and lowest < spans[count - 1].score - (rules.widen or 0.0)
            if enough or len(scores) < look or look == len(candidates):
                return [self._hit(span) for span in spans[:count]]
            look *= 4

    def _nearest(self, query: np.ndarray, look: int, probe: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the numbers and cosines of the best vectors in the nearest cells, of videos that are in the store.

        Raises:
            Damaged: If a cell is not as it was written, or the index gives what cannot be cosines.
        """  # noqa: DOC501 - `damaged` makes a Damaged
        faiss = import_faiss()
        index = self.stored.faiss
        probe = min(probe, self.header.cells)
        _, cells = index.quantizer.search(query, probe)
        self.stored.cells.check(cells[0].tolist())
        selector = faiss.IDSelectorBitmap(self._selected) if self.dead else None
        parameters = faiss.SearchParametersIVF(nprobe=probe, sel=selector)
        scores, numbers = index.search(query, look, params=parameters)
        seen = numbers[0] >= 0  # the cells that were looked at may hold fewer
        numbers, scores = numbers[0][seen], scores[0][seen]
        if not (np.abs(scores) <= LARGEST_COSINE).all() or not self.is_alive[numbers].all():
            raise damaged(self.stored.file, "it gives what cannot be cosines")
        return numbers, scores

    def _hit(self, span: HitSpan) -> Hit:
        rows = span.past_row - span.first_row
        return Hit(
            self.store.index.ids[span.video], span.first_row, rows, span.start_s, span.end_s, span.score
        )


def open_index(
    folder: Path, store: FeatureStore, queries: Tensor, settings: SearchSettings
) -> tuple[SearchIndex, str]:
    """Opens an index, having made it or brought it up to date with its store where that was needed.

    Args:
        folder: Its folder.
        store: The store.
        queries: (Q, D) what is asked: an index that is written is measured with it too.
        settings: How.

    Returns:
        The index, and what was done to it; empty if nothing.

    Raises:
        FeatxError: If FAISS is not installed, the folder holds no index or one of something else, it or the store is
            damaged, or it cannot be written.
    """
    import_faiss()
    check_has_videos(store)
    shards = shards_now(store)
    request = IndexRequest(folder, store, shards, settings, queries)
    opened = _open(request)
    if opened is not None and not _is_behind(opened):
        return opened, ""
    with locked(folder):
        opened, done = _open(request), ""  # another process may have done it meanwhile
        if opened is None or _is_behind(opened):
            done = _bring_up_to_date(request, opened)
            opened = _open(request)
    assert opened is not None
    return opened, done


def _open(request: IndexRequest) -> SearchIndex | None:
    stored = read_index(request.folder)
    if stored is None:
        return None
    _check(stored.header, request)
    number = numbers_now(stored.videos, stored.header.shards, request.store, request.shards)
    return SearchIndex(stored, request.store, number)


def _is_behind(opened: SearchIndex) -> bool:
    indexed = int((opened.number >= 0).sum())
    return indexed < len(opened.store) or opened.dead > DEAD_SHARE * opened.header.units


def _bring_up_to_date(request: IndexRequest, opened: SearchIndex | None) -> str:
    """Writes the index that the store needs; returns what was done, in words."""
    began = time.monotonic()
    store, level = request.store, request.settings.level
    number = opened.number if opened else np.zeros(0, np.int64)
    scans = _scans_without(number, request)
    if opened is None:
        make_index(request, scans)
        return f"made in {time.monotonic() - began:.1f} s"
    header, alive = opened.header, opened.is_alive
    total = int(alive.sum()) + sum(len(scan.candidates) for scan in scans)
    seen = int(alive[: header.seen_units].sum())
    if seen < SEEN_SHARE * max(total, header.trained_units):
        make_index(request, _scans_without(np.zeros(0, np.int64), request))
        return (
            f"made anew in {time.monotonic() - began:.1f} s, because of the {header.trained_units:,} {level} that its "
            f"cells were learned from {seen:,} are left, and there are {total:,} now"
        )
    extend_index(request, opened.stored, opened.number >= 0, scans)
    videos = sum(len(scan.stretch.ids) for scan in scans)
    rows = sum(len(scan.stretch) for scan in scans)
    gone = int((opened.number < 0).sum())
    parts = [f"{videos:,} videos ({rows:,} rows) added"] if videos else []
    parts += [f"{gone:,} that have left {store.path} taken out"] if gone else []
    return f"{' and '.join(parts)} in {time.monotonic() - began:.1f} s"


def _scans_without(indexed: np.ndarray, request: IndexRequest) -> list[StretchScan]:
    store = request.store
    found = candidates_of_each(store, stretches_without(store, indexed), request.settings)
    return [StretchScan(store, stretch, candidates) for stretch, candidates in found]


def _check(header: IndexHeader, request: IndexRequest) -> None:
    """Checks that an index is of what is searched.

    Raises:
        FeatxError: If it was made of another level, other windows, other features or another store.
    """
    folder, store, settings = request.folder, request.store, request.settings
    wanted = settings.windows if settings.level == "moments" else []
    if (header.level, header.windows) != (settings.level, wanted):
        made = f"--level {header.level}" + (f" --windows {_listed(header.windows)}" if header.windows else "")
        raise FeatxError(f"--index {folder}: made with {made}; give that too, or another folder")
    again = "remove it to have it made again, or give another folder"
    differences = header.fingerprint.differences(store.header.fingerprint)
    if differences:
        raise FeatxError(f"--index {folder}: made of other features ({'; '.join(differences)}); {again}")
    if header.store_created != store.header.created:
        raise FeatxError(
            f"--index {folder}: made of another store (created {header.store_created}; {store.path} was created "
            f"{store.header.created}); {again}"
        )


def _listed(numbers: list[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers)
