"""Exact search: cosines of queries with every unit of a store, block by block, straight from the disk's cache.

Each row counts with unit length; a unit's feature is the mean of its rows' (so a frame's is its own), and its score
the cosine of that with the query. Units overlap, so nothing is done for each of them that can be done for each row:
the product of a unit's sum with the query is the difference of two running sums of the rows' products. Only the
length of a unit's sum needs sums of vectors; it does not depend on the query and is kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from featx.evaluate.search.units import Units
from featx.store.reader import FeatureStore, Stretch

# The store's memory maps are read-only, which torch says once; nobody writes into them here.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")

# Converted to float32, so many rows still lie in the processor's cache (1,024 x 512 numbers are 2 MB), and they
# are enough that calls cost little. Measured in docs/search.md.
BLOCK_ROWS = 1024
UNITS_AT_ONCE = 8192
COSINES_BYTES = 2**28  # of rows with queries that are held at once


@dataclass(frozen=True)
class UnitBlock:
    """Features of some units: ``vectors`` (B, D) float32 times ``scale`` (B,) have unit length.

    Attributes:
        first: Index of the first of them.
        vectors: Only good until the next block is asked for.
        scale: What they have to be multiplied by.
    """

    first: int
    vectors: Tensor
    scale: Tensor


class Scan:
    """A stretch of a store, ready to be compared with queries again and again.

    What does not depend on the query is kept once it is known: 4 bytes for each row and for each unit.
    """

    def __init__(self, store: FeatureStore, stretch: Stretch, units: Units) -> None:
        """Prepares; nothing is read.

        Args:
            store: The store.
            stretch: Which rows.
            units: What can be found there.
        """
        self.stretch = stretch
        self.units = units
        self._store = store
        self._width = store.header.fingerprint.width
        self._are_rows = len(units) == len(stretch) and bool((units.rows == 1).all())
        self._row_scale = torch.empty(len(stretch))  # (N,) inverse lengths
        self._rows_known = False
        # (M,) inverse lengths of the sums of rows of unit length; a row's own is 1
        self._unit_scale = np.ones(len(units), np.float32) if self._are_rows else None

    def scores(self, queries: Tensor) -> np.ndarray:
        """Returns (Q, M) float32 cosines.

        Args:
            queries: (Q, D) float32 of unit length.

        Raises:
            FeatxError: If rows are damaged.
        """
        at_once = max(1, COSINES_BYTES // (4 * len(self.stretch)))
        return np.concatenate([self._scores(some) for some in queries.split(at_once)])

    def vectors(self) -> Iterator[UnitBlock]:
        """Yields the units' features in order.

        Raises:
            FeatxError: If rows are damaged.
        """
        if self._are_rows:
            for first, rows in self._rows():
                yield UnitBlock(first, rows, self._row_scale[first : first + len(rows)])
            return
        sums = _Sums(self.units, len(self.stretch), self._width)
        for first, rows in self._rows():
            sums.add(first, rows.mul_(self._row_scale[first : first + len(rows), None]))
        for first, vectors in sums.of_units():
            yield UnitBlock(first, vectors, _inverse_lengths(vectors))

    def _scores(self, queries: Tensor) -> np.ndarray:
        cosines = torch.empty(len(queries), len(self.stretch))  # (Q, N)
        sums = _Sums(self.units, len(self.stretch), self._width) if self._unit_scale is None else None
        for first, rows in self._rows():
            some = slice(first, first + len(rows))
            scale = self._row_scale[some]
            if len(queries) == 1:  # a product of matrices would take twice as long
                torch.mul(torch.mv(rows, queries[0]), scale, out=cosines[0, some])
            else:
                torch.mul(queries @ rows.T, scale, out=cosines[:, some])
            if sums is not None:
                sums.add(first, rows.mul_(scale[:, None]))
        if self._are_rows:
            return cosines.numpy()
        if sums is not None:
            self._unit_scale = torch.cat([_inverse_lengths(part) for _, part in sums.of_units()]).numpy()
        assert self._unit_scale is not None
        running = np.zeros((len(queries), len(self.stretch) + 1))
        np.cumsum(cosines.numpy(), axis=1, dtype=np.float64, out=running[:, 1:])
        first_row = self.units.first_row
        products = running[:, first_row + self.units.rows] - running[:, first_row]
        return (products * self._unit_scale).astype(np.float32)

    def _rows(self) -> Iterator[tuple[int, Tensor]]:
        """Yields the first row and (B, D) rows in float32, in a buffer that is used again; knows their lengths."""
        buffer, filled, first = torch.empty(BLOCK_ROWS, self._width), 0, 0
        count = len(self.stretch)
        for part in self._store.blocks(self.stretch):
            done = 0
            while done < len(part):
                some = part[done : done + BLOCK_ROWS - filled]
                buffer[filled : filled + len(some)].copy_(torch.from_numpy(some))
                filled, done = filled + len(some), done + len(some)
                if filled == BLOCK_ROWS or first + filled == count:
                    rows = buffer[:filled]
                    if not self._rows_known:
                        self._row_scale[first : first + filled] = _inverse_lengths(rows)
                    yield first, rows
                    first, filled = first + filled, 0
        self._rows_known = True


class _Sums:
    """Sums of rows between the borders of units, of which those of the units are made."""

    def __init__(self, units: Units, rows: int, width: int) -> None:
        past_row = units.first_row + units.rows
        borders, place = np.unique(
            np.concatenate([units.first_row, past_row]), return_inverse=True
        )  # (S + 1,)
        self._begins, self._ends = place.reshape(2, -1)
        piece = np.searchsorted(borders, np.arange(rows), side="right") - 1  # (N,)
        # Rows outside of every unit go to a last piece that nobody reads.
        self._count = len(borders) - 1
        self._pieces = torch.from_numpy(np.where(piece < 0, self._count, piece))
        self._sums = torch.zeros(self._count + 1, width)  # (S + 1, D)

    def add(self, first: int, rows: Tensor) -> None:
        """Takes (B, D) rows of unit length."""
        self._sums.index_add_(0, self._pieces[first : first + len(rows)], rows)

    def of_units(self) -> Iterator[tuple[int, Tensor]]:
        """Yields the first unit and (B, D) sums of units, once all rows were added."""
        running = np.zeros(self._sums.shape)  # float64: differences of long sums
        for before, after, part in zip(running, running[1:], self._sums.double().numpy(), strict=False):
            np.add(before, part, out=after)  # three times as fast as cumsum over this axis
        for first in range(0, len(self._begins), UNITS_AT_ONCE):
            some = slice(first, first + UNITS_AT_ONCE)
            vectors = running[self._ends[some]] - running[self._begins[some]]  # (B, D)
            yield first, torch.from_numpy(vectors).float()


def _inverse_lengths(vectors: Tensor) -> Tensor:
    lengths = torch.linalg.vector_norm(vectors, dim=1)
    return lengths.clamp_(min=1e-12).reciprocal_()
