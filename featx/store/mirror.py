"""A store at a URL: its records are kept in a local folder, its rows are read where they are.

A record never changes once it is there, so only those are fetched that are new; the folder is a store without arrays. It
lies in the user's cache folder, or below ``FEATX_CACHE``, and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from featx.errors import FeatxError
from featx.files.atomic import write_atomically
from featx.store.backends.interface import Backend, NotThere
from featx.store.backends.open import SCHEMES, open_backend
from featx.store.schema import SHARDS_FOLDER, STORE_FILE

CACHE_VARIABLE = "FEATX_CACHE"
REQUESTS = 16  # at once
# `Path` makes one slash of two: s3://bucket/store given as a path of the command line is s3:/bucket/store.
URL = re.compile(rf"({'|'.join(SCHEMES)}):/{{1,2}}(.+)")
RECORD = re.compile(rf"{SHARDS_FOLDER}/shard-\d{{5,}}\.json")


def url_of(given: Path) -> str | None:
    """Returns the URL that a path stands for, or None for a folder."""
    match = URL.fullmatch(str(given))
    return f"{match[1]}://{match[2]}" if match else None


def local_folder(given: Path) -> Path:
    """Returns the folder that holds a store's records: the store itself, or what is kept here of one at a URL.

    Raises:
        FeatxError: If a URL cannot be read.
    """
    url = url_of(given)
    return given if url is None else refresh(url, open_backend(url))


def refresh(url: str, backend: Backend) -> Path:
    """Fetches the records that are new since the last time, and forgets those that are gone.

    Args:
        url: Of the store.
        backend: The same, opened.

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
        # Repair and compaction put another record in the place of one; it has another size.
        wanted = [key for key, size in there.items() if key not in here or here[key].stat().st_size != size]
        with ThreadPoolExecutor(REQUESTS) as pool:
            for key, content in zip(wanted, pool.map(backend.get, wanted), strict=True):
                write_atomically(folder / key, content)
    except OSError as error:
        raise FeatxError(
            f"{folder}: cannot be written ({error.strerror}); {CACHE_VARIABLE} names another folder"
        ) from error
    return folder


def cache_folder() -> Path:
    """Returns where records of stores at URLs are kept."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path("~/.cache/featx").expanduser())
