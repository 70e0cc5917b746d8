"""One process at a time writes into a store: it holds a lock that ends with the process, however that ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from featx.errors import FeatxError

WAITS_S = (0.01, 0.1)  # `is_being_written` holds the lock for a moment


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
            self._file = (store / name).open("a")  # what stands in it belongs to its holder
        except OSError as error:
            raise FeatxError(f"{store}: cannot be written ({error.strerror})") from error
        for wait_s in (*WAITS_S, None):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not os.path.samestat(os.fstat(self._file.fileno()), (store / name).stat()):
                    raise BlockingIOError  # its holder has deleted it, and another may have made a new one
                return
            except OSError as error:
                if wait_s is None:
                    self._file.close()
                    raise FeatxError(
                        f"{store}: another featx is writing into this store; wait for it"
                    ) from error
                time.sleep(wait_s)

    def release(self) -> None:
        """Gives it back."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()


def is_being_written(store: Path, name: str = "lock") -> bool:
    """Tells whether a process holds a store's lock."""
    try:
        with (store / name).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # never written here, or by somebody whose lock may not be opened
        return False
    return False
