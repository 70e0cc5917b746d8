"""Exact search: cosines of queries with every candidate of a store, block by block, straight from the disk's cache.

Each row counts with unit length; a candidate's feature is the mean of its rows' (so a frame's is its own), and its score
the cosine of that with the query. Candidates overlap, so nothing is done for each of them that can be done for each row:
the product of a candidate's sum with the query is the difference of two running sums of the rows' products. Only the
length of a candidate's sum needs sums of vectors; it does not depend on the query and is kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor

from featx.store.reader import FeatureStore, Stretch
from featx.store.schema import CHUNK_ROWS

from .candidates import Candidates

# The store's memory maps are read-only, which torch says once; nobody writes into them here.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")

# So many of the store's chunks of 256 rows are converted to float32 together: they still lie in the processor's cache
# (1,024 x 512 numbers are 2 MB), and they are enough that calls cost little. Measured in docs/search.md.
PARTS_A_BLOCK = 4
CANDIDATES_AT_ONCE = 8192
COSINES_BYTES = 2**28  # of rows with queries that are held at once


@dataclass(frozen=True)
class CandidateBlock:
    """Features of some candidates: ``vectors`` (B, D) float32 times ``scale`` (B,) have unit length.

    Attributes:
        first: Index of the first of them.
        vectors: Only good until the next block is asked for.
        scale: What they have to be multiplied by.
    """

    first: int
    vectors: Tensor
    scale: Tensor


class StretchScan:
    """A stretch of a store, ready to be compared with queries again and again.

    What does not depend on the query is kept once it is known: 4 bytes for each row and for each candidate.
    """

    def __init__(self, store: FeatureStore, stretch: Stretch, candidates: Candidates) -> None:
        """Prepares; nothing is read.

        Args:
            store: The store.
            stretch: Which rows.
            candidates: What can be found there.
        """
        self.stretch = stretch
        self.candidates = candidates
        self._store = store
        self._width = store.header.fingerprint.width
        self._are_rows = len(candidates) == len(stretch) and bool((candidates.rows == 1).all())
        self._row_scale = torch.empty(len(stretch))  # (N,) inverse lengths
        self._rows_known = False
        # (M,) inverse lengths of the sums of rows of unit length; a row's own is 1
        self._candidate_scale = np.ones(len(candidates), np.float32) if self._are_rows else None

    def scores(self, queries: Tensor) -> np.ndarray:
        """Returns (Q, M) float32 cosines.

        Args:
            queries: (Q, D) float32 of unit length.

        Raises:
            FeatxError: If rows are damaged.
        """
        at_once = max(1, COSINES_BYTES // (4 * len(self.stretch)))
        return np.concatenate([self._scores(some) for some in torch.split(queries, at_once)])

    def vectors(self) -> Iterator[CandidateBlock]:
        """Yields the candidates' features in order.

        Raises:
            FeatxError: If rows are damaged.
        """
        if self._are_rows:
            for first, rows in self._all_rows():
                yield CandidateBlock(first, rows, self._row_scale[first : first + len(rows)])
            return
        sums = _Sums(self.candidates, len(self.stretch), self._width)
        for first, rows in self._all_rows():
            sums.add(first, rows.mul_(self._row_scale[first : first + len(rows), None]))
        for first, vectors in sums.of_candidates():
            yield CandidateBlock(first, vectors, _inverse_lengths(vectors))

    def _scores(self, queries: Tensor) -> np.ndarray:
        cosines = self._first_cosines(queries) if self._candidate_scale is None else self._cosines(queries)
        if self._are_rows:
            return cosines.numpy()
        assert self._candidate_scale is not None
        running = np.zeros((len(queries), len(self.stretch) + 1))
        np.cumsum(cosines.numpy(), axis=1, dtype=np.float64, out=running[:, 1:])
        first_row = self.candidates.first_row
        products = running[:, first_row + self.candidates.rows] - running[:, first_row]
        return (products * self._candidate_scale).astype(np.float32)

    def _first_cosines(self, queries: Tensor) -> Tensor:
        """Returns (Q, N) cosines of the rows; on the way it learns the lengths of the candidates' sums."""
        cosines = torch.empty(len(queries), len(self.stretch))
        sums = _Sums(self.candidates, len(self.stretch), self._width)
        for first, rows in self._all_rows():
            some = slice(first, first + len(rows))
            scale = self._row_scale[some]
            _product(queries, rows, scale, cosines[:, some])
            sums.add(first, rows.mul_(scale[:, None]))
        self._candidate_scale = torch.cat(
            [_inverse_lengths(part) for _, part in sums.of_candidates()]
        ).numpy()
        return cosines

    def _cosines(self, queries: Tensor) -> Tensor:
        """Returns (Q, N) cosines of the rows, every thread going through a part of them with a buffer of its own."""
        cosines = torch.empty(len(queries), len(self.stretch))

        def go_through(parts: range) -> None:
            for first, rows in self._rows(parts):
                some = slice(first, first + len(rows))
                _product(queries, rows, self._row_scale[some], cosines[:, some])

        in_threads(go_through, len(self._parts))
        self._rows_known = True
        return cosines

    @cached_property
    def _parts(self) -> list[Tensor]:
        """The stretch's rows as they lie in the memory map, in parts of at most 256; opened and checked once."""
        return [torch.from_numpy(part) for part in self._store.blocks(self.stretch)]

    @cached_property
    def _first_rows(self) -> list[int]:
        return list(accumulate(map(len, self._parts), initial=0))

    def _all_rows(self) -> Iterator[tuple[int, Tensor]]:
        yield from self._rows(range(len(self._parts)))
        self._rows_known = True

    def _rows(self, parts: range) -> Iterator[tuple[int, Tensor]]:
        """Yields the first row and (B, D) rows in float32, in a buffer that is used again; knows their lengths."""
        buffer = torch.empty(PARTS_A_BLOCK * CHUNK_ROWS, self._width)
        # made once: threads take turns at everything but copies and products
        places = torch.split(buffer, CHUNK_ROWS)
        for start in parts[::PARTS_A_BLOCK]:
            filled = 0
            for part in self._parts[start : min(start + PARTS_A_BLOCK, parts.stop)]:
                index, off = divmod(filled, CHUNK_ROWS)
                is_whole = not off and len(part) == CHUNK_ROWS
                (places[index] if is_whole else buffer[filled : filled + len(part)]).copy_(part)
                filled += len(part)
            rows, first = buffer[:filled], self._first_rows[start]
            if not self._rows_known:
                self._row_scale[first : first + filled] = _inverse_lengths(rows)
            yield first, rows


def _product(queries: Tensor, rows: Tensor, scale: Tensor, out: Tensor) -> None:
    """Puts (Q, B) products of queries with (B, D) rows, times (B,) scale, into ``out``."""
    if len(queries) == 1:  # a product of matrices would take twice as long
        torch.mul(torch.mv(rows, queries[0]), scale, out=out[0])
    else:
        torch.mul(queries @ rows.T, scale, out=out)


def in_threads(work: Callable[[range], None], count: int) -> None:
    """Divides ``count`` things among as many threads as torch has; each computes alone.

    torch's own threads would share each small block instead, and wait for each other more than they work.
    """
    threads = torch.get_num_threads()
    if threads == 1 or count < threads:
        work(range(count))
        return
    bounds = [count * number // threads for number in range(threads + 1)]
    torch.set_num_threads(1)  # of every thread that begins from here on, and of the BLAS
    try:
        list(_pool(threads).map(work, [range(*pair) for pair in pairwise(bounds)]))
    finally:
        torch.set_num_threads(threads)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that are kept: what torch and the BLAS prepare for a new one costs as much as a small search."""
    return ThreadPoolExecutor(threads, thread_name_prefix="featx-search")


class _Sums:
    """Sums of rows between the borders of candidates, of which those of the candidates are made."""

    def __init__(self, candidates: Candidates, rows: int, width: int) -> None:
        past_row = candidates.first_row + candidates.rows
        borders, place = np.unique(
            np.concatenate([candidates.first_row, past_row]), return_inverse=True
        )  # (S + 1,)
        self._begins, self._ends = place.reshape(2, -1)
        piece = np.searchsorted(borders, np.arange(rows), side="right") - 1  # (N,)
        # Rows outside of every candidate go to a last piece that nobody reads.
        self._count = len(borders) - 1
        self._pieces = torch.from_numpy(np.where(piece < 0, self._count, piece))
        self._sums = torch.zeros(self._count + 1, width)  # (S + 1, D)

    def add(self, first: int, rows: Tensor) -> None:
        """Takes (B, D) rows of unit length."""
        self._sums.index_add_(0, self._pieces[first : first + len(rows)], rows)

    def of_candidates(self) -> Iterator[tuple[int, Tensor]]:
        """Yields the first candidate and (B, D) sums of candidates, once all rows were added."""
        running = np.zeros(self._sums.shape)  # float64: differences of long sums
        for before, after, part in zip(running, running[1:], self._sums.double().numpy(), strict=False):
            np.add(before, part, out=after)  # three times as fast as cumsum over this axis
        for first in range(0, len(self._begins), CANDIDATES_AT_ONCE):
            some = slice(first, first + CANDIDATES_AT_ONCE)
            vectors = running[self._ends[some]] - running[self._begins[some]]  # (B, D)
            yield first, torch.from_numpy(vectors).float()


def _inverse_lengths(vectors: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    return lengths.clamp_(min=1e-12).reciprocal_()
