"""Exact search: cosines of queries with every unit of a store, block by block, straight from the disk's cache.

Each row counts with unit length; a unit's feature is the mean of its rows' (so a frame's is its own), and its score
the cosine of that with the query. Windows overlap, so rows are first summed between the windows' borders, and a
window is the difference of two running sums.
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

    What does not depend on the query is kept: the inverse lengths of the rows, 4 bytes for each.
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
        self._inverse = torch.empty(len(stretch))  # (N,)
        self._measured = False

    def scores(self, queries: Tensor) -> np.ndarray:
        """Returns (Q, M) float32 cosines.

        Args:
            queries: (Q, D) float32 of unit length.

        Raises:
            FeatxError: If rows are damaged.
        """
        scores = torch.empty(len(queries), len(self.units))
        for block in self.vectors():
            part = scores[:, block.first : block.first + len(block.scale)]
            if len(queries) == 1:  # as a product of matrices it takes twice as long
                torch.mv(block.vectors, queries[0], out=part[0])
                part *= block.scale
            else:
                torch.mul(queries @ block.vectors.T, block.scale, out=part)
        return scores.numpy()

    def vectors(self) -> Iterator[UnitBlock]:
        """Yields the units' features in order.

        Raises:
            FeatxError: If rows are damaged.
        """
        if len(self.units) == len(self.stretch) and (self.units.rows == 1).all():
            for first, rows in self._rows():
                yield UnitBlock(first, rows, self._inverse[first : first + len(rows)])
        else:
            yield from self._sums()

    def _rows(self) -> Iterator[tuple[int, Tensor]]:
        """Yields the first row and (B, D) rows in float32, in a buffer that is used again; knows their lengths."""
        buffer, filled, first = torch.empty(BLOCK_ROWS, self._store.header.fingerprint.width), 0, 0
        count = len(self.stretch)
        for part in self._store.blocks(self.stretch):
            done = 0
            while done < len(part):
                some = part[done : done + BLOCK_ROWS - filled]
                buffer[filled : filled + len(some)].copy_(torch.from_numpy(some))
                filled, done = filled + len(some), done + len(some)
                if filled == BLOCK_ROWS or first + filled == count:
                    rows = buffer[:filled]
                    if not self._measured:
                        self._measure(first, rows)
                    yield first, rows
                    first, filled = first + filled, 0
        self._measured = True

    def _measure(self, first: int, rows: Tensor) -> None:
        lengths = self._inverse[first : first + len(rows)]
        torch.linalg.vector_norm(rows, dim=1, out=lengths)
        lengths.clamp_(min=torch.finfo(torch.float32).tiny).reciprocal_()

    def _sums(self) -> Iterator[UnitBlock]:
        past_row = self.units.first_row + self.units.rows
        borders, place = np.unique(
            np.concatenate([self.units.first_row, past_row]), return_inverse=True
        )  # (S + 1,) rows at which a unit begins or ends
        begins, ends = torch.from_numpy(place).view(2, -1)
        piece = np.searchsorted(borders, np.arange(len(self.stretch)), side="right") - 1  # (N,) of each row
        inside = len(borders) - 1
        # Rows outside of every unit go to a last piece that nobody reads.
        pieces = torch.from_numpy(np.where((piece < 0) | (piece >= inside), inside, piece))
        sums = torch.zeros(inside + 1, self._store.header.fingerprint.width)  # (S + 1, D)
        for first, rows in self._rows():
            rows.mul_(self._inverse[first : first + len(rows), None])
            sums.index_add_(0, pieces[first : first + len(rows)], rows)
        running = torch.zeros(inside + 1, sums.shape[1], dtype=torch.float64)  # differences of long sums
        torch.cumsum(sums[:inside], 0, dtype=torch.float64, out=running[1:])
        for first in range(0, len(self.units), UNITS_AT_ONCE):
            some = slice(first, first + UNITS_AT_ONCE)
            vectors = (running[ends[some]] - running[begins[some]]).float()  # (B, D)
            lengths = torch.linalg.vector_norm(vectors, dim=1)
            yield UnitBlock(first, vectors, lengths.clamp_(min=1e-12).reciprocal_())
