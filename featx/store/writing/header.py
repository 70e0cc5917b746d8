"""What ``store.json`` says: written once, then compared with whoever wants to add to the store."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from featx import __version__
from featx.errors import FeatxError
from featx.files.atomic import write_atomically
from featx.store.index import header_bytes, read_header, shard_numbers
from featx.store.schema import STORE_FILE, Fingerprint, StoreHeader


def open_header(
    store: Path,
    fingerprint: Fingerprint,
    format: str,
    model_source: str,
    versions: dict[str, str] | None,
    schema_version: int,
) -> StoreHeader:
    """Returns the header of a store; makes it where there is no store yet. The arguments are those of `StoreWriter`.

    Raises:
        FeatxError: If the store was made with another fingerprint or format.
    """
    file = store / STORE_FILE
    if not file.exists() and next(shard_numbers(store), None) is None:
        header = StoreHeader(
            featx_store=schema_version,
            format=format,
            fingerprint=fingerprint,
            model_source=model_source,
            versions=versions or own_versions(),
            created=datetime.now(UTC).isoformat(timespec="microseconds"),
        )
        write_atomically(file, header_bytes(header))
        return header
    header = read_header(store)
    differences = fingerprint.differences(header.fingerprint)
    if header.format != format:
        differences.append(f"format: {format}, not {header.format}")
    if differences:
        raise FeatxError(
            f"{store}: was made with other settings ({'; '.join(differences)}); use those, or another --to"
        )
    return header


def own_versions() -> dict[str, str]:
    """Returns the versions of featx, Python and the libraries that features depend on."""
    packages = ("torch", "clip-anytorch", "numpy", "pillow", "zarr", "h5py", "imageio-ffmpeg")
    versions = {name: metadata.version(name) for name in packages}
    return {"featx": __version__, "python": platform.python_version(), **versions}
