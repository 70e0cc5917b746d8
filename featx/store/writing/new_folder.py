"""Making a folder that is whole or not there: it is filled under another name, ending ``.partial``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from featx.errors import FeatxError
from featx.files.atomic import sync_tree_entry
from featx.signals import DeferSignals
from featx.store.writing.leftovers import remove
from featx.store.writing.lock import StoreLock

# The lock of a folder that is being filled, and the mark that it is ours to empty; a store in it has its own lock.
MAKING = ".featx-making"
MARK = b"featx is filling this folder; when no featx runs, it was left by one that was killed and may be deleted.\n"


@contextlib.contextmanager
def made_whole(to: Path) -> Iterator[Path]:
    """Gives a folder to fill; it gets the name ``to`` when all went well, and is removed when not.

    Raises:
        FeatxError: If ``to`` exists, another process is filling it, or something that is not ours has the name of the
            folder to fill.
    """
    if os.path.lexists(to):
        raise FeatxError(f"{to}: exists; choose another --to or delete it")
    partial = to.with_name(f"{to.name}.partial")
    try:
        lock = _taken(partial)
        try:
            for entry in list(partial.iterdir()):  # what a killed run left
                if entry.name != MAKING:
                    remove(entry)
            yield partial
            with DeferSignals():
                (partial / MAKING).unlink()
                partial.rename(to)
                sync_tree_entry(to.parent)
        except BaseException:
            with DeferSignals():
                remove(partial)
            raise
        finally:
            lock.release()
    except OSError as error:
        raise FeatxError(f"{to}: cannot be written ({error.strerror or error})") from error


def _taken(partial: Path) -> StoreLock:
    """Makes the folder, or takes over one that a killed run was filling, and locks it.

    Raises:
        FeatxError: If something else is in the way, or another process is filling it.
    """
    with DeferSignals():
        try:
            partial.mkdir(parents=True)
        except FileExistsError:
            if not _is_ours(partial):
                raise FeatxError(
                    f"{partial}: is in the way, and not a folder that featx was filling; move or delete it, or choose "
                    "another --to"
                ) from None
            return StoreLock(partial, MAKING)
        (partial / MAKING).write_bytes(MARK)
        return StoreLock(partial, MAKING)


def _is_ours(partial: Path) -> bool:
    if partial.is_symlink() or (partial / MAKING).is_symlink():
        return False
    try:
        return (partial / MAKING).read_bytes() == MARK
    except OSError:
        return False
