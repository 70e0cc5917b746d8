"""Rows of a store at a URL: the chunks that are needed are fetched by their ranges, checked, and kept for a while."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator

import numpy as np
from google_crc32c import value as crc32c

from featx.files.checksummed_json import Damaged
from featx.store.backends.interface import Backend, NotThere
from featx.store.checked_rows import ArrayFile, Budget, CheckedRows
from featx.store.schema import CHUNK_ROWS

CACHE_BYTES = 2**29  # of chunks that stay in memory
CHUNKS_TOGETHER = 64  # that are fetched at once where all rows are read in order


class ChunkCache:
    """The chunks that were used last, up to a size. May be used by several threads."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        """Begins empty.

        Args:
            most_bytes: Of all chunks together.
        """
        self._most_bytes = most_bytes
        self._bytes = 0
        self._chunks: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, file: str, start: int) -> np.ndarray | None:
        """Returns the chunk that begins at a byte of a file, or None."""
        with self._lock:
            chunk = self._chunks.get((file, start))
            if chunk is not None:
                self._chunks.move_to_end((file, start))
            return chunk

    def put(self, file: str, start: int, chunk: np.ndarray) -> None:
        """Keeps a chunk; those that were not used for longest make room."""
        with self._lock:
            if (file, start) not in self._chunks:
                self._bytes += chunk.nbytes
            self._chunks[file, start] = chunk
            self._chunks.move_to_end((file, start))
            while self._bytes > self._most_bytes and len(self._chunks) > 1:
                _, oldest = self._chunks.popitem(last=False)
                self._bytes -= oldest.nbytes


class RemoteRows(CheckedRows):
    """The rows of one array of a shard at a URL."""

    def __init__(self, array: ArrayFile, key: str, backend: Backend, cache: ChunkCache) -> None:
        """Notes what is where; nothing is fetched yet.

        Args:
            array: What the record says.
            key: Of the file, in the backend.
            backend: The place.
            cache: Where chunks are kept.
        """
        super().__init__(array, Budget(0))
        self._key, self._backend, self._cache = key, backend, cache
        self._starts = array.chunks.starts

    @property
    def is_open(self) -> bool:
        """There are no file handles."""
        return False

    def close(self) -> None:
        """There is nothing to let go of."""

    def fetch(self, indices: Iterable[int]) -> dict[int, np.ndarray]:
        """Fetches chunks that are not at hand, together: neighbours come in one request. Returns those.

        Raises:
            Damaged: If they are not what was written, or are gone.
            FeatxError: If the place cannot be reached.
        """
        missing = sorted(
            {index for index in indices if self._cache.get(self._key, self._starts[index]) is None}
        )
        if not missing:
            return {}
        starts, sizes = (
            [self._starts[index] for index in missing],
            [*map(self._size_of, missing)],
        )
        try:
            contents = self._backend.get_ranges(self._key, starts, sizes)
        except NotThere as error:
            raise Damaged(f"{error}; if the store was compacted meanwhile, open it again") from error
        fetched = {}
        for index, size, content in zip(missing, sizes, contents, strict=True):
            if len(content) != size or crc32c(content) != self._array.chunks.crc32c[index]:
                raise Damaged(
                    f"{self._backend.name}/{self._key}: damaged in row {index * CHUNK_ROWS} or after; download the store "
                    "and repair it with featx store verify --repair"
                )
            fetched[index] = np.frombuffer(content, self._array.dtype).reshape(-1, *self._array.row_shape)
            self._cache.put(self._key, self._starts[index], fetched[index])
        return fetched

    def blocks(self, first: int, count: int) -> Iterator[np.ndarray]:
        """Yields ``count`` rows from ``first`` on, at most a chunk at once; many chunks are fetched together.

        Raises:
            Damaged: As `fetch`.
            FeatxError: Likewise.
        """
        past = first + count
        while first < past:
            index = first // CHUNK_ROWS
            end = min((index + CHUNKS_TOGETHER) * CHUNK_ROWS, past)
            self.fetch(range(index, -(-end // CHUNK_ROWS)))
            yield from super().blocks(first, end - first)
            first = end

    def _size_of(self, index: int) -> int:
        rows = min(CHUNK_ROWS, self._array.rows - index * CHUNK_ROWS)
        return rows * math.prod(self._array.row_shape) * self._array.dtype.itemsize

    def _open_chunk(self, index: int) -> np.ndarray:
        chunk = self._cache.get(self._key, self._starts[index])
        return self.fetch([index])[index] if chunk is None else chunk
