"""Writing files so that a crash leaves either the old one or the new one; reading lists, one word a line."""

from __future__ import annotations

import os
from pathlib import Path

from featx.errors import FeatxError
from featx.signals import DeferSignals


def sync_tree(path: Path) -> None:
    """Flushes a file, or a folder with everything in it, to the disk."""
    if path.is_dir():
        for member in path.iterdir():
            sync_tree(member)
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces ``path`` by ``content``: written beside it, flushed, then renamed. One step for signals.

    Raises:
        OSError: Naming ``path``, if it cannot be written.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with DeferSignals():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_bytes(content)
                sync_tree(partial)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
            sync_tree_entry(path.parent)
        except OSError as error:  # a full disk has no file's name
            raise OSError(error.errno, error.strerror, str(path)) from error


def sync_tree_entry(folder: Path) -> None:
    """Flushes a folder's own entries (a rename in it), not its members."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_list(file: Path, flag: str, what: str) -> dict[int, str]:
    """Reads a text file with one entry a line.

    Args:
        file: The file.
        flag: The option that names it, for messages.
        what: What an entry is, such as "class".

    Returns:
        Line number to entry; blank lines are left out.

    Raises:
        FeatxError: If it cannot be read or has no entry.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FeatxError(f"{flag} {file}: cannot read it ({error})") from error
    entries = {number: entry for number, line in enumerate(lines, start=1) if (entry := line.strip())}
    if not entries:
        raise FeatxError(f"{flag} {file}: names no {what}")
    return entries
