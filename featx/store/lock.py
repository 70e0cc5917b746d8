"""One process at a time writes into a store: it holds a lock that ends with the process, however that ends."""

from __future__ import annotations

import fcntl
from pathlib import Path

from featx.errors import FeatxError


class StoreLock:
    """The lock of a store, held until `release`."""

    def __init__(self, store: Path, name: str = "lock") -> None:
        """Takes it.

        Args:
            store: The folder.
            name: Of the file in it that is locked.

        Raises:
            FeatxError: If another process holds it, or the store cannot be written.
        """
        try:
            self._file = (store / name).open("w")
        except OSError as error:
            raise FeatxError(f"{store}: cannot be written ({error.strerror})") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise FeatxError(f"{store}: another featx is writing into this store; wait for it") from error

    def release(self) -> None:
        """Gives it back."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()
