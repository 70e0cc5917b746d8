"""A store at a URL: its records are kept in a local folder, its rows are read where they are.

A record never changes once it is there, so only those are fetched that are new; the folder is a store without arrays. It
lies in the user's cache folder, or below ``FEATX_CACHE``, and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from featx.errors import FeatxError
from featx.files.atomic import write_atomically
from featx.output.console import say
from featx.store.backends.interface import Backend, NotThere
from featx.store.backends.open import SCHEMES, open_backend
from featx.store.schema import SHARDS_FOLDER, STORE_FILE, shard_name
from featx.store.snapshot_columns import (
    COLUMNS,
    OUTDATED,
    SNAPSHOT_FILE,
    column_file,
    is_true_of,
    put_snapshot_header,
    read_snapshot_header,
)

CACHE_VARIABLE = "FEATX_CACHE"
REQUESTS = 16  # at once
PIECE_BYTES = 64 * 2**20
# `Path` makes one slash of two: s3://bucket/store given as a path of the command line is s3:/bucket/store.
URL = re.compile(rf"({'|'.join(SCHEMES)}):/{{1,2}}(.+)")
RECORD = re.compile(rf"{SHARDS_FOLDER}/shard-\d{{5,}}\.json")


def url_of(given: Path) -> str | None:
    """Returns the URL that a path stands for, or None for a folder."""
    match = URL.fullmatch(str(given))
    return f"{match[1]}://{match[2]}" if match else None


def local_folder(given: Path, all_records: bool = True) -> Path:
    """Returns the folder that holds a store's records: the store itself, or what is kept here of one at a URL.

    Args:
        given: The store.
        all_records: Whether those are fetched, too, that the store's index knows.

    Raises:
        FeatxError: If a URL cannot be read.
    """
    url = url_of(given)
    return given if url is None else refresh(url, open_backend(url), all_records)


def refresh(url: str, backend: Backend, all_records: bool = True) -> Path:
    """Fetches the records that are new since the last time, and forgets those that are gone.

    Args:
        url: Of the store.
        backend: The same, opened.
        all_records: Whether those are fetched, too, that the store's index knows.

    Returns:
        The folder of the records.

    Raises:
        FeatxError: If the place cannot be read, or is not a store.
    """
    folder = cache_folder() / "stores" / hashlib.sha256(url.encode()).hexdigest()[:32]
    try:
        header = backend.get(STORE_FILE)
    except NotThere as error:
        raise FeatxError(f"{url}: not a feature store (no {STORE_FILE}); make one with featx plan") from error
    there = {one.key: one.size_bytes for one in backend.list(SHARDS_FOLDER) if RECORD.fullmatch(one.key)}
    try:
        (folder / SHARDS_FOLDER).mkdir(parents=True, exist_ok=True)
        here = {
            f"{SHARDS_FOLDER}/{file.name}": file for file in (folder / SHARDS_FOLDER).glob("shard-*.json")
        }
        for key in here.keys() - there.keys():
            here[key].unlink(missing_ok=True)
        write_atomically(folder / STORE_FILE, header)
        covered = set() if all_records else _fetch_snapshot(folder, backend, there)
        # Repair and compaction put another record in the place of one; it has another size.
        wanted = [
            key
            for key, size in there.items()
            if (key not in covered if key not in here else here[key].stat().st_size != size)
        ]
        with ThreadPoolExecutor(REQUESTS) as pool:
            for key, content in zip(wanted, pool.map(backend.get, wanted), strict=True):
                write_atomically(folder / key, content)
    except OSError as error:
        raise FeatxError(
            f"{folder}: cannot be written ({error.strerror}); {CACHE_VARIABLE} names another folder"
        ) from error
    return folder


def _fetch_snapshot(folder: Path, backend: Backend, there: dict[str, int]) -> set[str]:
    """Fetches the index of a store that has one, if that is still true.

    Args:
        folder: Of the records that are kept here.
        backend: Of the store.
        there: Sizes in bytes of all records.

    Returns:
        The keys of the records that it was made of: nobody needs those before rows of their videos are read.

    Raises:
        OSError: If it cannot be written.
    """
    here = folder / SNAPSHOT_FILE
    try:
        content = backend.get(SNAPSHOT_FILE)
    except NotThere:
        here.unlink(missing_ok=True)
        return set()
    arrived = here.with_name(f"{SNAPSHOT_FILE}.arrived") / SNAPSHOT_FILE
    arrived.parent.mkdir(exist_ok=True)
    write_atomically(arrived, content)
    stated = read_snapshot_header(arrived.parent)
    assert stated is not None
    if not is_true_of(stated, {key.rpartition("/")[2]: size for key, size in there.items()}):
        say(f"{backend.name}: {OUTDATED}")
        here.unlink(missing_ok=True)
        return set()
    for name in COLUMNS:
        file = column_file(folder, stated, name)
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            _fetch_file(backend, file.relative_to(folder).as_posix(), file)
    put_snapshot_header(folder, content)
    return {f"{SHARDS_FOLDER}/{shard_name(number)}.json" for number, _ in stated.records}


def _fetch_file(backend: Backend, key: str, file: Path) -> None:
    """Fetches a large file in pieces."""
    size, partial = (
        backend.size(key),
        file.with_name(f"{uuid.uuid4().hex}.partial"),
    )  # others may fetch it too
    with partial.open("wb") as stream:
        for start in range(0, size, PIECE_BYTES):
            stream.write(backend.get_ranges(key, [start], [min(PIECE_BYTES, size - start)])[0])
    partial.replace(file)


def cache_folder() -> Path:
    """Returns where records of stores at URLs are kept."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path("~/.cache/featx").expanduser())
