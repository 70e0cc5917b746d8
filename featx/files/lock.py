"""One process at a time writes into a folder: it holds a lock that ends with the process, however that ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from featx.errors import FeatxError

WAITS_S = (0.01, 0.1)  # whoever asks whether a folder is being written holds the lock for a moment
LOCK_FILE = "lock"


class FolderLock:
    """The lock of a folder, held until `release`."""

    def __init__(
        self,
        folder: Path,
        name: str = LOCK_FILE,
        what: str = "folder",
        before_waiting: Callable[[], None] | None = None,
    ) -> None:
        """Takes it.

        Args:
            folder: The folder.
            name: Of the file in it that is locked.
            what: The folder is, for the message.
            before_waiting: Called once before this process waits for the one that holds it; without it, it does not wait.

        Raises:
            FeatxError: If another process holds it and this one does not wait, or the folder cannot be written.
        """  # noqa: DOC501 - its BlockingIOError does not leave it
        self._path = folder / name
        try:
            self._file = self._path.open("a")  # what stands in it belongs to its holder
        except OSError as error:
            raise FeatxError(f"{folder}: cannot be written ({error.strerror})") from error
        for wait_s in (*WAITS_S, None):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not self._is_the_folders():
                    raise BlockingIOError  # its holder has deleted it, and another may have made a new one
                return
            except (BlockingIOError, PermissionError) as error:  # NFS may say either
                if wait_s is not None:
                    time.sleep(wait_s)
                elif before_waiting is None:
                    self._file.close()
                    raise FeatxError(
                        f"{folder}: another featx is writing into this {what}; wait for it"
                    ) from error
            except OSError as error:  # Lustre without its mount option flock, for example
                self._file.close()
                raise FeatxError(
                    f"{folder}: files on this file system cannot be locked ({error.strerror}); choose another place"
                ) from error
        assert before_waiting is not None
        before_waiting()
        fcntl.flock(self._file, fcntl.LOCK_EX)
        while not self._is_the_folders():
            self._file.close()
            self._file = self._path.open("a")
            fcntl.flock(self._file, fcntl.LOCK_EX)

    def _is_the_folders(self) -> bool:
        """Tells whether the open file still is the one in the folder."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Gives it back."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()


@contextmanager
def locked(folder: Path, what: str, take: bool = True) -> Iterator[None]:
    """Holds the lock of a folder, which is made if it is not there; leaves neither lock nor an empty new folder behind.

    Args:
        folder: The folder. One that nobody may write into is not locked: what is finished can be looked at.
        what: It is, for messages.
        take: Whether this process is the one that writes.

    Raises:
        FeatxError: If another process holds it, or the folder cannot be made.
        OSError: That of the code within, which names the folder if it named no file.
    """
    if not take or (folder.exists() and not os.access(folder, os.W_OK)):
        yield
        return
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FeatxError(f"{folder}: cannot be made ({error.strerror})") from error
    lock = FolderLock(folder, what=what)
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        # such as a full disk under an open log
        raise OSError(error.errno, error.strerror or str(error), str(folder)) from error
    finally:
        with suppress(OSError):
            (folder / LOCK_FILE).unlink()
        lock.release()
        if is_new:
            with suppress(OSError):  # something is in it
                folder.rmdir()
