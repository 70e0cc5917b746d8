"""`featx store index`: puts a snapshot into a store, or brings the one that is there up to date."""

from __future__ import annotations

import tempfile
from pathlib import Path

from featx.files.checksummed_json import Damaged
from featx.store.backends.interface import Backend
from featx.store.backends.open import open_backend
from featx.store.index import read_header
from featx.store.mirror import refresh, url_of
from featx.store.snapshot import record_sizes, records_since
from featx.store.snapshot_build import build
from featx.store.snapshot_columns import (
    COLUMNS,
    SNAPSHOT_FILE,
    SNAPSHOT_FOLDER,
    SnapshotHeader,
    column_file,
    is_true_of,
    read_snapshot_header,
)


def index_store(store: Path) -> tuple[SnapshotHeader, int]:
    """Makes the snapshot of a store, of an earlier one and the records since if that is still true.

    Args:
        store: Folder or URL.

    Returns:
        The snapshot, and how many records were read for it.

    Raises:
        Damaged: If a record is damaged, or a video is in two shards.
        FeatxError: If the store cannot be read or written.
    """
    url = url_of(store)
    path = store if url is None else refresh(url, open_backend(url), all_records=False)
    header = read_header(path)
    try:
        before = read_snapshot_header(path)
    except Damaged:  # that is why it is made anew
        before = None
    if before is not None and not is_true_of(before, record_sizes(path), may_lack=url is not None):
        before = None
    known = (path, before) if before is not None else None
    if url is None:
        made = build(path, records_since(path, header, before), known)
    else:
        with tempfile.TemporaryDirectory(prefix="featx-index-") as scratch:
            made = build(Path(scratch), records_since(path, header, before), known)
            _put(open_backend(url), Path(scratch), made)
    return made, len(made.records) - (len(before.records) if before is not None else 0)


def _put(backend: Backend, folder: Path, made: SnapshotHeader) -> None:
    """Stores a snapshot, its ``index.json`` last, and removes the columns of earlier ones.

    Raises:
        FeatxError: If the place cannot be written.
    """
    earlier = [listed.key for listed in backend.list(SNAPSHOT_FOLDER)]
    for name in COLUMNS:
        file = column_file(folder, made, name)
        backend.put(file.relative_to(folder).as_posix(), file.read_bytes())
    backend.put(SNAPSHOT_FILE, (folder / SNAPSHOT_FILE).read_bytes())
    for key in earlier:
        backend.delete(key)
