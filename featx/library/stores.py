"""Opening a store, as every function of `import featx` takes one."""

from __future__ import annotations

from pathlib import Path

from featx.library.calls import PathLike
from featx.output.library_function import library_function
from featx.store.reader import FeatureStore


def store_of(given: FeatureStore | PathLike) -> FeatureStore:
    """Returns a store that is open already, or opens its folder."""
    return given if isinstance(given, FeatureStore) else FeatureStore(Path(given))


@library_function()
def open_store(path: PathLike) -> FeatureStore:
    """Opens a feature store for reading.

    It is a collection of ids: ``len(store)``, ``id in store``, ``for id in store``. ``store[id]`` reads a video:
    ``.features`` (N, D), ``.pts`` (N,) in seconds and ``.frame_index`` (N,).

    Args:
        path: Folder that `extract_features` or ``featx extract`` made; or a URL (docs/scale-out.md).

    Raises:
        FeatxError: If it is not a store, or its index is damaged.
    """
    return FeatureStore(Path(path))
