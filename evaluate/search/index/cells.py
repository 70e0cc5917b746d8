"""The cells of a search index as they lie in its file, each with a checksum; and FAISS, which wrote them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from google_crc32c import value as crc32c

from featx.errors import FeatxError
from featx.files.checksummed_json import Damaged

NUMBER_BYTES = 8  # beside each vector FAISS writes its number


def import_faiss() -> Any:
    """Returns FAISS.

    Raises:
        FeatxError: If it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise FeatxError("--index: needs FAISS: pip install 'featx[search]'") from error
    return faiss


class Cells:
    """The cells' vectors as they lie in the file; each is checked before it is used for the first time."""

    def __init__(
        self, file: Path, head_bytes: int, vector_bytes: int, sizes: list[int], checksums: list[int]
    ) -> None:
        """Opens the file.

        Args:
            file: The file.
            head_bytes: Where the first cell begins.
            vector_bytes: Of each vector.
            sizes: How many vectors each cell has.
            checksums: crc32c of each cell's bytes.
        """
        self._file = file.open("rb")
        self._path = file
        self._vector_bytes = vector_bytes
        self._sizes = sizes
        self._checksums = checksums
        ends = np.cumsum(np.array(sizes) * (vector_bytes + NUMBER_BYTES)) + head_bytes
        self._starts = [head_bytes, *ends.tolist()]
        self._checked = bytearray(len(sizes))

    def check(self, cells: Iterable[int]) -> None:
        """Checks those that have not been checked.

        Raises:
            Damaged: If one is not as it was written.
        """
        for cell in cells:
            if not self._checked[cell]:
                self._read(cell)

    def read(self, cell: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns (B,) int64 numbers of a cell's vectors, and their (B, vector_bytes) bytes.

        Raises:
            Damaged: If they are not as they were written.
        """
        content, size = self._read(cell), self._sizes[cell]
        codes = np.frombuffer(content, np.uint8, size * self._vector_bytes)
        return np.frombuffer(content, "<i8", size, codes.nbytes), codes.reshape(size, self._vector_bytes)

    def _read(self, cell: int) -> bytes:
        start, past = self._starts[cell : cell + 2]
        try:
            content = os.pread(self._file.fileno(), past - start, start)
        except OSError as error:
            raise damaged(self._path, f"cannot be read, {error.strerror}") from error
        if len(content) != past - start or crc32c(content) != self._checksums[cell]:
            raise damaged(self._path, f"the checksum of cell {cell} is wrong")
        self._checked[cell] = 1
        return content


def cell_sizes(index: Any) -> list[int]:
    """Returns how many vectors each cell has."""
    return [index.invlists.list_size(cell) for cell in range(index.nlist)]


def cell_checksums(index: Any) -> list[int]:
    """Returns crc32c of each cell's bytes, of an index in memory."""
    faiss = import_faiss()
    checksums = []
    for cell, size in enumerate(cell_sizes(index)):
        codes = faiss.rev_swig_ptr(index.invlists.get_codes(cell), size * index.code_size)
        numbers = faiss.rev_swig_ptr(index.invlists.get_ids(cell), size)
        checksums.append(crc32c(codes.tobytes() + numbers.tobytes()))
    return checksums


def damaged(file: Path, reason: str) -> Damaged:
    """Returns the error that a file of an index is damaged."""
    return Damaged(f"{file}: damaged ({reason}); remove {file.parent}, and the index is made again")
