"""What killed runs leave in a store's folder of shards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from featx.store.schema import ENDINGS, SHARD_NAME, SHARDS_FOLDER, record_path


def uncommitted(path: Path) -> Iterator[Path]:
    """Yields what lies in a store's shards without a record, and halves of files; nothing that is not a store's."""
    entries = sorted((path / SHARDS_FOLDER).iterdir())
    there = {entry.name for entry in entries}
    for entry in entries:
        name = entry.name.split(".")[0]
        if not SHARD_NAME.fullmatch(name):
            continue
        is_arrays = entry.suffix in ENDINGS.values() and record_path(path, name).name not in there
        if entry.suffix == ".partial" or is_arrays:
            yield entry


def remove(entry: Path) -> None:
    """Removes a file, or a folder with all that is in it."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
