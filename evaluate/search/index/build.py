"""Making a search index, and going on with one: what it has is carried over, only what is new is read.

Inverted lists with half-precision vectors (FAISS: ``IVF…,SQfp16``, inner product). A vector's code does not depend on
the cell that it is in, so an index that was added to holds, vector for vector, what a new one would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from featx.store.reader import FeatureStore

from ..exact.candidates import Candidates
from ..exact.scan import StretchScan
from ..exact.settings import SearchSettings
from .cells import import_faiss
from .files import StoredIndex, write_index
from .header import IndexHeader
from .videos import IndexedVideos, join, videos_of

VECTORS_A_CELL = 50  # to train with; FAISS asks for at least 39
RECALL_AT = 10
RECALL_QUERIES = 100
PROBES = (1, 4, 16, 64, 256)  # cells looked at for which recall is measured


@dataclass(frozen=True)
class IndexRequest:
    """Which index is wanted.

    Attributes:
        folder: Where.
        store: Of what.
        shards: The store's, as `shards_now`.
        settings: Which level.
        queries: (Q, D) what was asked at that moment: the index is measured with it too.
    """

    folder: Path
    store: FeatureStore
    shards: dict[str, str]
    settings: SearchSettings
    queries: Tensor


def make_index(request: IndexRequest, scans: list[StretchScan]) -> None:
    """Makes an index of a whole store and measures what it finds: 2 sqrt(M) cells for M candidates.

    Raises:
        FeatxError: If FAISS is not installed, rows are damaged, or the folder cannot be written.
    """
    candidates = _candidates_of(scans)
    count = len(candidates)
    rng = np.random.default_rng(0)
    cells = max(1, min(round(2 * math.sqrt(count)), count // VECTORS_A_CELL))
    sample = np.sort(rng.choice(count, min(count, VECTORS_A_CELL * cells), replace=False))
    index = _trained(_vectors(scans, sample), cells)
    _add(index, scans)
    own = _some_of_its_own(index)
    header = _describe(
        *(request, index, count, count, own),
        [_exact_best(scans, queries) for queries in (own, request.queries.numpy())],
    )
    videos = videos_of([scan.stretch for scan in scans], request.store, request.shards)
    write_index(request.folder, header, index, candidates, videos)


def extend_index(
    request: IndexRequest, stored: StoredIndex, videos_now: np.ndarray, scans: list[StretchScan]
) -> None:
    """Writes an index that has what another one has and the store still has, and what is new; the cells stay.

    Args:
        request: Where, of what, and how.
        stored: What there was.
        videos_now: (V,) whether each of its videos is still in the store.
        scans: What is new in the store. Nothing else of the store is read.

    Raises:
        FeatxError: If what there was is damaged, rows are, or the folder cannot be written.
    """
    faiss = import_faiss()
    header, kept = stored.header, videos_now[stored.candidates.video]
    candidates, videos = _carried_over(stored, videos_now, list(request.shards))
    index = faiss.read_index(str(stored.file), faiss.IO_FLAG_MMAP)
    lists = _carried_lists(stored, kept)
    lists.this.disown()
    index.replace_invlists(lists, True)
    index.ntotal = int(kept.sum())
    if scans:
        _add(index, scans)
        new = _candidates_of(scans)
        candidates = _join([candidates, replace(new, video=new.video + len(videos))])
        videos = join([videos, videos_of([scan.stretch for scan in scans], request.store, request.shards)])
    own, seen = _some_of_its_own(index), int(kept[: header.seen_units].sum())
    index.nprobe = index.nlist
    all_best = [
        index.search(queries, min(RECALL_AT, len(candidates)))[1]
        for queries in (own, request.queries.numpy())
    ]
    new_header = _describe(request, index, header.trained_units, seen, own, all_best).model_copy(
        update={"recall_against": "all its cells"}
    )
    write_index(request.folder, new_header, index, candidates, videos)


def _describe(
    request: IndexRequest,
    index: Any,
    trained_units: int,
    seen_units: int,
    own: np.ndarray,
    best: list[np.ndarray],
) -> IndexHeader:
    """Measures an index.

    Args:
        request: What it was written for.
        index: The vectors.
        trained_units: As in the header.
        seen_units: As in the header.
        own: (B, D) vectors of its own to ask it for.
        best: (B, 10) and (Q, 10) numbers of what is best for those, and for the queries of the request.
    """
    store, settings = request.store, request.settings
    return IndexHeader(
        store_created=store.header.created,
        fingerprint=store.header.fingerprint,
        shards=request.shards,
        level=settings.level,
        windows=settings.windows if settings.level == "moments" else [],
        units=index.ntotal,
        cells=index.nlist,
        trained_units=trained_units,
        seen_units=seen_units,
        recall=_recall(index, own, best[0], settings.probe),
        recall_against="an exact search",
        recall_queries=len(own),
        recall_asked=_recall(index, request.queries.numpy(), best[1], settings.probe),
        asked=len(request.queries),
    )


def _trained(sample: np.ndarray, cells: int) -> Any:
    faiss = import_faiss()
    index = faiss.index_factory(sample.shape[1], f"IVF{cells},SQfp16", faiss.METRIC_INNER_PRODUCT)
    index.by_residual = False  # else codes would depend on the cells
    index.cp.min_points_per_centroid = (
        1  # a store that is too small for that has one cell; nothing to warn of
    )
    index.train(sample)
    return index


def _add(index: Any, scans: list[StretchScan]) -> None:
    for scan in scans:
        for block in scan.vectors():
            index.add((block.vectors * block.scale[:, None]).numpy())


def _carried_over(
    stored: StoredIndex, videos_now: np.ndarray, shards: list[str]
) -> tuple[Candidates, IndexedVideos]:
    """Returns the candidates of videos that are still there, and these, with their shards as numbers of ``shards``."""
    videos = stored.videos.choose(videos_now)
    number_of = {name: number for number, name in enumerate(shards)}
    renumbered = np.array([number_of.get(name, -1) for name in stored.header.shards], np.int64)
    candidates = stored.candidates.choose(videos_now[stored.candidates.video])
    return (
        replace(candidates, video=(np.cumsum(videos_now) - 1)[candidates.video]),
        IndexedVideos(renumbered[videos.shard], videos.first_row, videos.rows),
    )


def _carried_lists(stored: StoredIndex, kept: np.ndarray) -> Any:
    """Returns inverted lists with those vectors that are ``kept`` (M,), numbered anew without gaps, each cell checked."""
    faiss = import_faiss()
    lists = faiss.ArrayInvertedLists(stored.faiss.nlist, stored.faiss.code_size)
    new_number = np.cumsum(kept) - 1
    for cell in range(stored.faiss.nlist):
        numbers, codes = stored.cells.read(cell)
        some = kept[numbers]
        numbers, codes = new_number[numbers[some]], np.ascontiguousarray(codes[some])
        if len(numbers):
            lists.add_entries(cell, len(numbers), faiss.swig_ptr(numbers), faiss.swig_ptr(codes))
    return lists


def _some_of_its_own(index: Any) -> np.ndarray:
    """Returns up to 100 of an index's vectors."""
    count = index.ntotal
    numbers = np.random.default_rng(1).choice(count, min(count, RECALL_QUERIES), replace=False)
    index.make_direct_map()
    vectors: np.ndarray = index.reconstruct_batch(np.sort(numbers))
    index.make_direct_map(False)  # it would be written
    return vectors


def _exact_best(scans: list[StretchScan], queries: np.ndarray) -> np.ndarray:
    """Returns (Q, 10) numbers of the candidates that are the best in an exact search."""
    exact, first = [], 0
    for scan in scans:
        scores = torch.from_numpy(scan.scores(torch.from_numpy(queries)))  # (Q, M)
        best = scores.topk(min(RECALL_AT, scores.shape[1]), dim=1)
        exact.append((best.values, best.indices + first))
        first += len(scan.candidates)
    values = torch.cat([values for values, _ in exact], dim=1)
    numbers = torch.cat([numbers for _, numbers in exact], dim=1)
    return numbers.gather(1, values.topk(min(RECALL_AT, values.shape[1]), dim=1).indices).numpy()


def _recall(index: Any, queries: np.ndarray, best: np.ndarray, probe: int) -> dict[int, float]:
    """Returns the share of the best that is found, by cells looked at."""
    recall = {}
    for some in sorted({min(one, index.nlist) for one in (*PROBES, probe)}):
        index.nprobe = some
        _, found = index.search(queries, best.shape[1])
        same = sum(len(np.intersect1d(one, other)) for one, other in zip(found, best, strict=True))
        recall[some] = same / best.size
    return recall


def _candidates_of(scans: list[StretchScan]) -> Candidates:
    """Returns the candidates of all stretches: videos counted through all of them, rows from the video's first."""
    parts, first_video = [], 0
    for scan in scans:
        candidates = scan.candidates
        from_video = candidates.first_row - scan.stretch.offsets[candidates.video]
        parts.append(replace(candidates, video=candidates.video + first_video, first_row=from_video))
        first_video += len(scan.stretch.ids)
    return _join(parts)


def _join(parts: list[Candidates]) -> Candidates:
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return Candidates(*(np.concatenate(column) for column in columns))


def _vectors(scans: list[StretchScan], numbers: np.ndarray) -> np.ndarray:
    """Returns (B, D) features of unit length of some candidates, ``numbers`` (B,) ascending over all stretches."""
    found, first = [], 0
    for scan in scans:
        for block in scan.vectors():
            begin = first + block.first
            some = numbers[
                np.searchsorted(numbers, begin) : np.searchsorted(numbers, begin + len(block.scale))
            ]
            rows = torch.from_numpy(some - begin)
            found.append((block.vectors[rows] * block.scale[rows, None]).numpy())
        first += len(scan.candidates)
    return np.concatenate(found)
