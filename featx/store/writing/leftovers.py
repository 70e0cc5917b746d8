"""What killed runs leave in a store's folder of shards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from featx.files.checksummed_json import Damaged, read_checksummed
from featx.store.schema import ENDINGS, SHARD_NAME, SHARDS_FOLDER, record_path


def uncommitted(path: Path) -> Iterator[Path]:
    """Yields what lies in a store's shards without a record, and halves of files; nothing that is not a store's."""
    entries = sorted((path / SHARDS_FOLDER).iterdir())
    there = {entry.name for entry in entries}
    for entry in entries:
        name, *attempt = entry.name.removesuffix(entry.suffix).split(".", 1)
        if not SHARD_NAME.fullmatch(name):
            continue
        has_record = record_path(path, name).name in there
        is_other = (
            bool(attempt) and has_record and _attempt_of(record_path(path, name)) not in (None, *attempt)
        )
        is_arrays = entry.suffix in ENDINGS.values() and (not has_record or is_other)
        if entry.suffix == ".partial" or is_arrays:
            yield entry


def _attempt_of(file: Path) -> str | None:
    """Returns which attempt a record speaks of; None if the record is damaged, so that nobody knows."""
    try:
        return str(read_checksummed(file).get("attempt", ""))
    except (OSError, Damaged):
        return None


def remove(entry: Path) -> None:
    """Removes a file, or a folder with all that is in it."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
