"""Rows of one array of a shard straight from its file, each chunk checked against its checksum when first touched.

Neither zarr nor h5py takes part: the record says where the chunks lie, and nothing is compressed. A call of either
costs about a millisecond, a window of 16 rows here a few microseconds. There are no handles that a fork could break.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google_crc32c import value as crc32c

from featx.files.checksummed_json import Damaged
from featx.store.schema import CHUNK_ROWS, ChunkTable

WAY_OUT = "featx store verify --repair drops the shard, so that featx extract computes it again"


@dataclass
class Budget:
    """Bytes that chunks may still take in memory. Threads that race here may overshoot by a chunk each."""

    left_bytes: int


@dataclass(frozen=True)
class ArrayFile:
    """Where one array of a shard lies, as the shard's record says.

    Attributes:
        file: The file.
        size_bytes: Its size when it was written.
        dtype: Of the numbers on disk.
        row_shape: Of one row.
        rows: How many there are.
        chunks: Where they lie in the file, and their checksums.
    """

    file: Path
    size_bytes: int
    dtype: np.dtype
    row_shape: tuple[int, ...]
    rows: int
    chunks: ChunkTable


class _OpenFile:
    """A file handle and, once it is needed, the file's memory map; closed when nobody refers to it any more."""

    def __init__(self, file: Path) -> None:
        self.handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self.handle)
        self.size_bytes = status.st_size
        self.identity = (status.st_dev, status.st_ino, status.st_mtime_ns)
        self._map: mmap.mmap | None = None

    @property
    def map(self) -> mmap.mmap:
        if self._map is None:
            self._map = mmap.mmap(self.handle, 0, access=mmap.ACCESS_READ)
        return self._map

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            os.close(self.handle)


class CheckedRows:
    """The rows of one array of a shard.

    A chunk that has been checked is kept in memory while the budget lasts, and else read through a memory map. May
    be used by several threads, and across a fork.

    Attributes:
        chunks: The rows of each chunk that has been checked and is at hand; None for the others.
    """

    def __init__(self, array: ArrayFile, budget: Budget) -> None:
        """Notes what is where; the file is opened when it is needed."""
        self._array = array
        self._file = array.file
        self._budget = budget
        self._opened: _OpenFile | None = None
        self._identity: tuple[int, ...] = ()
        self.chunks: list[np.ndarray | None] = [None] * len(array.chunks.starts)
        self._checked = bytearray(len(array.chunks.starts))

    def copy_to(self, out: np.ndarray, first: int) -> None:
        """Fills ``out`` with rows from ``first`` on.

        Raises:
            Damaged: If they are not the rows that were written.
        """
        done, count = 0, len(out)
        while done < count:
            index, begin = divmod(first + done, CHUNK_ROWS)
            chunk = self.chunks[index]
            if chunk is None:
                chunk = self._open_chunk(index)
            part = chunk[begin : begin + count - done]
            out[done : done + len(part)] = part
            done += len(part)

    def blocks(self, first: int, count: int) -> Iterator[np.ndarray]:
        """Yields ``count`` rows from ``first`` on as they lie in memory: read-only, not copied, at most a chunk at once.

        Raises:
            Damaged: As `copy_to`.
        """
        past = first + count
        while first < past:
            index, begin = divmod(first, CHUNK_ROWS)
            chunk = self.chunks[index]
            if chunk is None:
                chunk = self._open_chunk(index)
            part = chunk[begin : begin + past - first]
            yield part
            first += len(part)

    def read(self, first: int, count: int) -> np.ndarray:
        """Returns ``count`` rows from ``first`` on, as `copy_to`."""
        out = np.empty((count, *self._array.row_shape), self._array.dtype)
        self.copy_to(out, first)
        return out

    @property
    def is_open(self) -> bool:
        """Whether file handles are held."""
        return self._opened is not None

    def close(self) -> None:
        """Lets go of the file; what is in memory stays, and the next read opens the file again."""
        # A thread that is reading holds a reference of its own: the handle closes with the last one.
        self._opened = None
        self.chunks = [chunk if _in_memory(chunk) else None for chunk in self.chunks]

    def _open_chunk(self, index: int) -> np.ndarray:
        rows = min(CHUNK_ROWS, self._array.rows - index * CHUNK_ROWS)
        count = rows * math.prod(self._array.row_shape)
        size = count * self._array.dtype.itemsize
        kept = self._budget.left_bytes >= size
        source: bytes | mmap.mmap
        start = self._array.chunks.starts[index]
        try:
            opened = self._opened or self._open()
            if kept or not self._checked[index]:
                # Read, not mapped: a disk that fails is an error here, and kills the process in a map.
                source = os.pread(opened.handle, size, start)
                if len(source) != size or crc32c(source) != self._array.chunks.crc32c[index]:
                    raise Damaged(f"{self._file}: damaged in row {index * CHUNK_ROWS} or after; {WAY_OUT}")
                self._checked[index] = 1
            if kept:
                self._budget.left_bytes -= size
                start = 0
            else:
                source = opened.map
        except FileNotFoundError as error:
            raise Damaged(
                f"{self._file}: missing or unreadable ({error.strerror}); if the store was compacted meanwhile, open it "
                f"again; otherwise {WAY_OUT}"
            ) from error
        except (OSError, ValueError) as error:
            raise Damaged(f"{self._file}: missing or unreadable ({error}); {WAY_OUT}") from error
        chunk = np.frombuffer(source, self._array.dtype, count, start).reshape(rows, *self._array.row_shape)
        self.chunks[index] = chunk
        return chunk

    def _open(self) -> _OpenFile:
        opened = _OpenFile(self._file)
        if opened.size_bytes != self._array.size_bytes:
            raise Damaged(
                f"{self._file}: has {opened.size_bytes} bytes, {self._array.size_bytes} were written; {WAY_OUT}"
            )
        if opened.identity != self._identity:  # another file than the one that was checked
            self._checked = bytearray(len(self._checked))
            self._identity = opened.identity
        self._opened = opened
        return opened


def _in_memory(chunk: np.ndarray | None) -> bool:
    owner: object = chunk
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner, bytes)
