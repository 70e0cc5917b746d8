"""Writing files so that a crash leaves either the old one or the new one, never half of one."""

from __future__ import annotations

import os
from pathlib import Path


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
    """Replaces ``path`` by ``content``: written beside it, flushed, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        sync_tree(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_tree_entry(path.parent)


def sync_tree_entry(folder: Path) -> None:
    """Flushes a folder's own entries (a rename in it), not its members."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
