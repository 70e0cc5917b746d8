"""One shard as an HDF5 file: four datasets with a fletcher32 checksum on every chunk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from featx.store.schema import ARRAY_NAMES, ShardArrays

CHUNK_ROWS = 256


def write(path: Path, arrays: ShardArrays) -> None:
    """Writes the arrays as ``path``, a new file."""
    import h5py

    with h5py.File(path, "x") as file:
        for name in ARRAY_NAMES:
            values: np.ndarray = getattr(arrays, name)
            chunk = (min(CHUNK_ROWS, len(values)), *values.shape[1:])
            file.create_dataset(name, data=values, chunks=chunk, fletcher32=True)


def read(path: Path) -> ShardArrays:
    """Reads a whole shard.

    Raises:
        Exception: Whatever h5py raises for a missing dataset or a wrong checksum; the caller names the shard.
    """
    import h5py

    with h5py.File(path, "r") as file:
        return ShardArrays(**{name: file[name][:] for name in ARRAY_NAMES})
