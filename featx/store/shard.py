"""Reading one shard by what its record says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from featx.store.checked_rows import ArrayFile, Budget, CheckedRows
from featx.store.schema import (
    SHARDS_FOLDER,
    ChunkTable,
    Fingerprint,
    ShardArrays,
    ShardRecord,
    array_file,
    array_layout,
)


@dataclass(frozen=True)
class ShardEntry:
    """What reading a shard's rows needs of its record; a store of a million videos holds a thousand of these.

    Attributes:
        name: ``shard-00017``.
        arrays: What its arrays are called, without the ending.
        format: ``zarr`` or ``hdf5``.
        rows: Rows of all its videos.
        videos: How many those are; 0 for a shard that was dropped.
        chunks: Where each array's bytes are.
        size_of: Size in bytes of each of its files, by the path below ``shards/``.
    """

    name: str
    arrays: str
    format: str
    rows: int
    videos: int
    chunks: dict[str, ChunkTable]
    size_of: dict[str, int]

    @staticmethod
    def of(record: ShardRecord) -> ShardEntry:
        """Takes what is needed from a record."""
        size_of = {file: size for file, (size, _) in record.files.items()}
        return ShardEntry(
            record.name,
            record.arrays,
            record.format,
            sum(record.rows),
            len(record.ids),
            record.chunks,
            size_of,
        )

    def lies(self, store: Path, fingerprint: Fingerprint, array: str) -> ArrayFile:
        """Returns where one array is."""
        file = array_file(store, self.arrays, self.format, array)
        size = self.size_of.get(file.relative_to(store / SHARDS_FOLDER).as_posix(), 0)
        rows = self.videos + 1 if array == "offsets" else self.rows
        dtype, row_shape = array_layout(fingerprint)[array]
        return ArrayFile(file, size, dtype, row_shape, rows, self.chunks[array])

    def open(
        self, store: Path, fingerprint: Fingerprint, array: str, budget: Budget | None = None
    ) -> CheckedRows:
        """Returns the rows of one array; those of ``features`` may stay in memory within the budget."""
        return CheckedRows(self.lies(store, fingerprint, array), budget or Budget(0))

    def read(self, store: Path, fingerprint: Fingerprint) -> ShardArrays:
        """Reads the whole shard.

        Raises:
            Damaged: If it is not what was written.
        """
        arrays = {}
        for name in array_layout(fingerprint):
            rows = self.videos + 1 if name == "offsets" else self.rows
            arrays[name] = self.open(store, fingerprint, name).read(0, rows)
        return ShardArrays(**arrays)
