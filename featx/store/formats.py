"""The formats that shards come in, and what the writer notes down about a shard that it has written."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType

import numpy as np
from google_crc32c import value as crc32c

from featx.store import hdf5_shard, zarr_shard
from featx.store.schema import ARRAY_NAMES, CHUNK_ROWS, ChunkTable, ShardArrays

# Each has `write`, `read` and `chunk_starts`.
FORMATS: dict[str, ModuleType] = {"zarr": zarr_shard, "hdf5": hdf5_shard}


def file_digests(shard: Path, name: str) -> dict[str, tuple[int, str]]:
    """Returns size and sha256 of each file of a shard.

    Args:
        shard: The file or folder.
        name: What it is called in the keys: those are paths below ``shards/``.
    """
    files = sorted(each for each in shard.rglob("*") if not each.is_dir()) if shard.is_dir() else [shard]
    digests = {}
    for file in files:
        key = "/".join([name, *file.relative_to(shard).parts])
        with file.open("rb") as stream:
            digests[key] = (file.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest())
    return digests


def chunk_tables(shard: Path, format: str, arrays: ShardArrays) -> dict[str, ChunkTable]:
    """Returns where a shard's rows lie in its files, with the checksums of what was meant to be written."""
    values = {name: np.ascontiguousarray(getattr(arrays, name)) for name in ARRAY_NAMES}
    starts = FORMATS[format].chunk_starts(shard, {name: len(array) for name, array in values.items()})
    return {name: ChunkTable(starts[name], chunk_checksums(array)) for name, array in values.items()}


def chunk_checksums(values: np.ndarray) -> list[int]:
    """Returns the crc32c of every 256 rows."""
    return [crc32c(values[row : row + CHUNK_ROWS].tobytes()) for row in range(0, len(values), CHUNK_ROWS)]
