"""A local folder, or one that several machines share (NFS)."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from featx.errors import FeatxError, system_error_line
from featx.files.atomic import sync_tree_entry
from featx.signals import DeferSignals
from featx.store.backends.interface import Listed, NotThere

PRIVATE = ".featx-new-"  # begins the name of a file that is being written, and that nobody lists


class LocalFolder:
    """Files below a folder. No locks: ``flock`` does not reach other machines on some shared disks.

    Attributes:
        name: The folder.
    """

    def __init__(self, folder: Path) -> None:
        """Takes a folder, which is made when something is put into it."""
        self.name = str(folder)
        self._folder = folder

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Gives a flushed private file the name with ``link``, which is one step on NFS too and never replaces a file.

        Raises:
            FeatxError: If the folder cannot be written.
        """
        file = self._folder / key
        with self._private_file(file, content) as private:
            try:
                os.link(private, file)
                return True
            except FileExistsError:
                # On NFS the link may have been made and its reply lost: then our file has two names.
                return private.stat().st_nlink == 2

    def put(self, key: str, content: bytes) -> None:
        """Writes a file under another name and renames it.

        Raises:
            FeatxError: If the folder cannot be written.
        """
        file = self._folder / key
        with self._private_file(file, content) as private:
            private.replace(file)

    def get(self, key: str) -> bytes:
        """Reads a file.

        Raises:
            NotThere: If there is none.
            FeatxError: If it cannot be read.
        """
        with self._errors_named(key):
            return (self._folder / key).read_bytes()

    def get_ranges(self, key: str, starts: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        """Reads stretches of a file.

        Raises:
            NotThere: If there is no such file.
            FeatxError: If it cannot be read.
        """
        with self._errors_named(key), (self._folder / key).open("rb") as stream:
            handle = stream.fileno()
            return [os.pread(handle, size, start) for start, size in zip(starts, sizes, strict=True)]

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """Walks through a folder; private files are left out.

        Raises:
            FeatxError: If it cannot be read.
        """
        with self._errors_named(prefix):
            for parent, _, names in os.walk(self._folder / prefix, onerror=_raise_unless_missing):
                for name in names:
                    if not name.startswith(PRIVATE):
                        file = Path(parent, name)
                        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                            key = file.relative_to(self._folder).as_posix()
                            yield Listed(key, file.stat().st_size)

    def delete(self, key: str) -> None:
        """Removes a file, and the folders that it leaves empty.

        Raises:
            FeatxError: If it cannot be removed.
        """
        file = self._folder / key
        with self._errors_named(key):
            file.unlink(missing_ok=True)
            for parent in file.relative_to(self._folder).parents[:-1]:
                try:
                    (self._folder / parent).rmdir()
                except OSError:  # something else is in it
                    return

    def size(self, key: str) -> int:
        """Returns a file's size.

        Raises:
            NotThere: If there is none.
            FeatxError: If the folder cannot be read.
        """
        with self._errors_named(key):
            return (self._folder / key).stat().st_size

    @contextlib.contextmanager
    def _private_file(self, file: Path, content: bytes) -> Iterator[Path]:
        """Gives a flushed file of a name of its own beside ``file``, which may be given that name."""
        with self._errors_named(file.relative_to(self._folder).as_posix()), DeferSignals():
            private = file.with_name(f"{PRIVATE}{uuid.uuid4().hex}")
            try:
                with _open_new(private) as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                yield private
            finally:
                private.unlink(missing_ok=True)
            sync_tree_entry(file.parent)

    @contextlib.contextmanager
    def _errors_named(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise NotThere(f"{self._folder / key}: is not there") from error
        except OSError as error:
            error.filename = str(self._folder / key)
            raise FeatxError(system_error_line(error)) from error


def _open_new(file: Path) -> BinaryIO:
    """Opens a new file; makes its folder, again if another process finds that empty and removes it at this moment."""
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return file.open("xb")


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
