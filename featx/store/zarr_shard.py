"""One shard as a Zarr 3 group: four arrays, each a single file with a crc32c on every chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from featx.store.schema import ARRAY_NAMES, CHUNK_ROWS, ShardArrays


def write(path: Path, arrays: ShardArrays) -> None:
    """Writes the arrays as ``path``, a folder; nothing is compressed, so that a reader may map the file."""
    import zarr
    from zarr.codecs import Crc32cCodec

    # An all-zero chunk is written too: otherwise a lost file and a chunk of zeros would look the same.
    with zarr.config.set({"array.write_empty_chunks": True}):
        group = zarr.open_group(path, mode="w-", zarr_format=3)
        for name in ARRAY_NAMES:
            values: np.ndarray = getattr(arrays, name)
            chunk = (CHUNK_ROWS, *values.shape[1:])
            chunk_count = -(-len(values) // CHUNK_ROWS)
            array = group.create_array(
                name,
                shape=values.shape,
                dtype=values.dtype,
                chunks=chunk,
                shards=(chunk_count * CHUNK_ROWS, *values.shape[1:]),
                compressors=[Crc32cCodec()],
                filters=[],
            )
            array[:] = values


def read(path: Path) -> ShardArrays:
    """Reads a whole shard with zarr.

    Raises:
        FileNotFoundError: If the file of an array is missing.
        Exception: Whatever zarr raises for a missing array or a wrong checksum; the caller names the shard.
    """
    import zarr

    group = zarr.open_group(path, mode="r")
    arrays = {}
    for name in ARRAY_NAMES:
        array: Any = group[name]
        file = path / name / "c" / "/".join("0" * array.ndim)
        if not file.exists():  # zarr would read a lost file as zeros, without an error
            raise FileNotFoundError(f"{file}")
        arrays[name] = np.asarray(array)
    return ShardArrays(**arrays)


def chunk_starts(path: Path, rows: dict[str, int]) -> dict[str, list[int]]:
    """Returns at which byte of its file each chunk of each array begins.

    A file of the sharding codec ends with an index: offset and size of every chunk as two unsigned 64-bit integers,
    then the index's own crc32c.

    Args:
        path: The shard.
        rows: How many rows each array has.
    """
    starts = {}
    for name, count in rows.items():
        (file,) = (each for each in (path / name / "c").rglob("*") if each.is_file())
        index_bytes = 16 * -(-count // CHUNK_ROWS)
        with file.open("rb") as stream:
            stream.seek(-index_bytes - 4, 2)
            index = np.frombuffer(stream.read(index_bytes), "<u8").reshape(-1, 2)
        starts[name] = index[:, 0].tolist()
    return starts
