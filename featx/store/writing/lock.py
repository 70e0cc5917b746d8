"""One process at a time writes into a store: it holds a lock that ends with the process, however that ends."""

from __future__ import annotations

import fcntl
from pathlib import Path

from featx.files.lock import LOCK_FILE, FolderLock


class StoreLock(FolderLock):
    """The lock of a store, held until `release`."""

    def __init__(self, store: Path, name: str = LOCK_FILE) -> None:
        """Takes it, as `FolderLock` does."""
        super().__init__(store, name, "store")


def is_being_written(store: Path, name: str = LOCK_FILE) -> bool:
    """Tells whether a process holds a store's lock."""
    try:
        with (store / name).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # never written here, or by somebody whose lock may not be opened
        return False
    return False
