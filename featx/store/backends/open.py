"""From what a user names, a folder or a URL, to the backend."""

from __future__ import annotations

from pathlib import Path

from featx.errors import FeatxError
from featx.store.backends.interface import Backend
from featx.store.backends.local import LocalFolder
from featx.store.backends.objects import ObjectStore

SCHEMES = ("s3", "gs", "az", "memory")


def open_backend(place: str) -> Backend:
    """Returns the backend of a folder or a URL.

    Raises:
        FeatxError: If it is a URL of an unknown kind, or obstore is missing.
    """
    scheme, colon, _ = place.partition("://")
    if not colon:
        return LocalFolder(Path(place))
    if scheme not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES[:-1])
        raise FeatxError(
            f"{place}: not a place that featx knows; give a folder, or a URL that begins with {known}"
        )
    return ObjectStore(place)
