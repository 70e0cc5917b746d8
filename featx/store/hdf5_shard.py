"""One shard as an HDF5 file: four datasets with a fletcher32 checksum on every chunk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from featx.store.schema import ARRAY_NAMES, CHUNK_ROWS, ShardArrays


def write(path: Path, arrays: ShardArrays) -> None:
    """Writes the arrays as ``path``, a new file; nothing is compressed, so that a reader may map the file.

    The file is made in memory: where a disk is full, the HDF5 library cannot close its file and ends the process.
    """
    import h5py

    with h5py.File(path.name, "w", driver="core", backing_store=False, block_size=2**20) as file:
        for name in ARRAY_NAMES:
            values: np.ndarray = getattr(arrays, name)
            chunk = (min(CHUNK_ROWS, len(values)), *values.shape[1:])
            file.create_dataset(name, data=values, chunks=chunk, fletcher32=True)
        file.flush()
        image = file.id.get_file_image()
    with path.open("xb") as stream:
        stream.write(image)


def read(path: Path) -> ShardArrays:
    """Reads a whole shard with h5py.

    Raises:
        Exception: Whatever h5py raises for a missing dataset or a wrong checksum; the caller names the shard.
    """
    import h5py

    with h5py.File(path, "r") as file:
        return ShardArrays(**{name: file[name][:] for name in ARRAY_NAMES})


def chunk_starts(path: Path, rows: dict[str, int]) -> dict[str, list[int]]:
    """Returns at which byte of the file each chunk of each array begins.

    Args:
        path: The shard.
        rows: How many rows each array has.
    """
    import h5py

    starts = {}
    with h5py.File(path, "r") as file:
        for name in rows:
            found: list[tuple[int, int]] = []
            file[name].id.chunk_iter(
                lambda chunk, found=found: found.append((chunk.chunk_offset[0], chunk.byte_offset))
            )
            starts[name] = [start for _, start in sorted(found)]
    return starts
