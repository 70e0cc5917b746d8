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

    A byte-order mark is no part of the first one. A line that is `#` alone or begins with `# ` is a comment; `#` and more is an
    entry, as names of videos and texts may begin so.

    Args:
        file: The file.
        flag: The option that names it, for messages.
        what: What an entry is, such as "class".

    Returns:
        Line number to entry; blank lines and comments are left out.

    Raises:
        FeatxError: If it cannot be read or has no entry.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FeatxError(f"{flag} {file}: cannot read it ({error})") from error
    # not splitlines(): it also splits at characters that may stand within a sentence, such as U+2028
    lines = {number: line.strip() for number, line in enumerate(text.split("\n"), start=1)}
    entries = {number: line for number, line in lines.items() if line and not is_comment(line)}
    if not entries:
        raise FeatxError(f"{flag} {file}: names no {what}")
    return entries


def is_comment(line: str) -> bool:
    """Says whether a line of a list is a comment: `#` alone, or followed by a blank."""
    return line.split(maxsplit=1)[:1] == ["#"]
