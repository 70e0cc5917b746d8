"""The files of a search index: new ones are written beside the old ones, and one rename makes them the index.

A folder: `index.json` says what the index was made of and names the two files that belong to it, with their checksums;
`vectors-….faiss` are the vectors in FAISS's own layout, `units-….npz` what each of them stands for. Whoever writes
holds the lock on `lock`; readers need none. Nothing is believed unchecked: the small things when the index is opened,
each cell when it is first looked at, so that a search still reads only the cells that it looks at.
"""

from __future__ import annotations

import io
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google_crc32c import value as crc32c
from pydantic import ValidationError

from featx.errors import FeatxError
from featx.files.atomic import sync_tree, write_atomically
from featx.files.checksummed_json import Damaged, dump_checksummed, read_checksummed
from featx.files.lock import LOCK_FILE, FolderLock
from featx.output.console import say

from ..exact.candidates import Candidates
from .cells import (
    NUMBER_BYTES,
    Cells,
    cell_checksums,
    cell_sizes,
    damaged,
    import_faiss,
)
from .header import SCHEMA_VERSION, Content, IndexHeader, UnitsFile, VectorsFile
from .videos import IndexedVideos

HEADER_FILE = "index.json"
CONTENT_FILE = re.compile(r"vectors-[0-9a-f]{16}\.faiss|units-[0-9a-f]{16}\.npz|index\.json\.\d+\.partial")


@dataclass(frozen=True)
class StoredIndex:
    """An index as its files have it.

    Attributes:
        header: What it was made of.
        file: Of its vectors.
        faiss: The vectors, mapped.
        cells: The same, checked.
        candidates: What each vector stands for: ``video`` is a number in ``videos``, rows count from the video's first.
        videos: Where those videos' rows lie.
    """

    header: IndexHeader
    file: Path
    faiss: Any
    cells: Cells
    candidates: Candidates
    videos: IndexedVideos


def read_index(folder: Path) -> StoredIndex | None:
    """Reads an index; None if none was made in this folder yet.

    Raises:
        FeatxError: If the folder holds something else, or an index of another featx.
        Damaged: If something is not as it was written.
    """  # noqa: DOC501 - `damaged` makes a Damaged
    content = _read_content(folder)
    while content is not None:
        try:
            return _read_files(folder, content)
        except FileNotFoundError as error:
            before, content = content, _read_content(folder)
            if content == before:  # else another process has just replaced it
                raise damaged(Path(error.filename), "it is missing") from error
    return None


def _read_content(folder: Path) -> Content | None:
    file = folder / HEADER_FILE
    elsewhere = "give a folder that does not exist, and one is made there"
    try:
        strange = [entry.name for entry in folder.iterdir() if not _is_own(entry.name)]
        if not file.exists():
            if strange:
                raise FeatxError(
                    f"--index {folder}: not an index of featx search (it holds '{min(strange)}'); {elsewhere}"
                )
            return None
        _check_version(file)
        return Content.model_validate(read_checksummed(file))
    except FileNotFoundError:
        return None
    except Damaged as error:
        raise damaged(file, "its checksum is wrong") from error
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise FeatxError(f"--index {folder}: not an index of featx search ({reason}); {elsewhere}") from error


def _check_version(file: Path) -> None:
    """Checks the version of an index's layout; what is no JSON passes.

    Raises:
        FeatxError: If another featx made it, with another layout.
    """
    content = file.read_bytes()
    try:
        version = json.loads(content).get("featx_search_index")
    except (ValueError, AttributeError):
        return
    if isinstance(version, int) and version != SCHEMA_VERSION:
        raise FeatxError(
            f"{file}: layout version {version}; this featx reads version {SCHEMA_VERSION}: remove {file.parent}, and "
            "the index is made again"
        )


def _is_own(name: str) -> bool:
    return name in (HEADER_FILE, LOCK_FILE) or CONTENT_FILE.fullmatch(name) is not None


def _read_files(folder: Path, content: Content) -> StoredIndex:
    faiss = import_faiss()
    file, units_file = folder / content.vectors.name, folder / content.units.name
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        head = stream.read(content.vectors.head_bytes)
    # Before FAISS sees it: sizes that are not true would have it read anywhere.
    if size != content.vectors.size_bytes or crc32c(head) != content.vectors.head_crc32c:
        raise damaged(file, "its size or its head's checksum is wrong")
    packed = units_file.read_bytes()
    if crc32c(packed) != content.units.crc32c:
        raise damaged(units_file, "its checksum is wrong")
    try:  # mapped, so that only the cells that are looked at are read
        index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP)
    except RuntimeError as error:
        file.stat()  # it may have been replaced just now
        raise damaged(file, str(error).splitlines()[0]) from error
    with np.load(io.BytesIO(packed)) as arrays:
        candidates = Candidates(*(arrays[name] for name in Candidates.__annotations__))
        videos = IndexedVideos(*(arrays[f"video_{name}"] for name in IndexedVideos.__annotations__))
        checksums = arrays["cell_crc32c"].tolist()
    cells = Cells(file, content.vectors.head_bytes, index.code_size, cell_sizes(index), checksums)
    return StoredIndex(content.header, file, index, cells, candidates, videos)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of an index's folder, which is made if it is not there; waits for whoever holds it.

    Raises:
        FeatxError: If the folder cannot be written.
    """
    way_out = "and it has to be made or brought up to date; give another folder"
    line = f"featx: --index {folder}: another featx is writing it; waiting for it"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(folder, before_waiting=lambda: say(line))
    except OSError as error:
        raise FeatxError(f"--index {folder}: cannot be written ({error.strerror}), {way_out}") from error
    except FeatxError as error:
        raise FeatxError(f"--index {error}, {way_out}") from error
    try:
        yield
    finally:
        lock.release()


def write_index(
    folder: Path, header: IndexHeader, index: Any, candidates: Candidates, videos: IndexedVideos
) -> None:
    """Writes an index, held in memory, beside the one that is there, and replaces that by one rename.

    Whoever calls holds the lock.

    Raises:
        FeatxError: If it cannot be written; the index that was there still is.
    """
    try:
        try:
            content = _write_content(folder, header, index, candidates, videos)
            write_atomically(folder / HEADER_FILE, dump_checksummed(content.model_dump(mode="json")))
        finally:
            _clear(folder)  # of the old or the new one, whichever is not the index
    except (OSError, RuntimeError, ValueError) as error:
        raise FeatxError(f"--index {folder}: cannot write it ({str(error).splitlines()[0]})") from error


def _write_content(
    folder: Path, header: IndexHeader, index: Any, candidates: Candidates, videos: IndexedVideos
) -> Content:
    token = secrets.token_hex(8)
    file, units_file = folder / f"vectors-{token}.faiss", folder / f"units-{token}.npz"
    import_faiss().write_index(index, str(file))
    checksums = cell_checksums(index)
    packed = io.BytesIO()
    of_videos = {f"video_{name}": column for name, column in vars(videos).items()}
    np.savez(packed, **vars(candidates), **of_videos, cell_crc32c=np.array(checksums, np.uint32))
    units_file.write_bytes(packed.getvalue())
    sync_tree(file)
    sync_tree(units_file)
    return Content(
        header=header,
        vectors=_describe(file, index, checksums),
        units=UnitsFile(name=units_file.name, crc32c=crc32c(packed.getvalue())),
    )


def _clear(folder: Path) -> None:
    """Removes what belongs to no index: what a killed run left, and what has been replaced."""
    content = _read_content(folder)
    kept = (content.vectors.name, content.units.name) if content else ()
    for entry in sorted(folder.iterdir()):
        if CONTENT_FILE.fullmatch(entry.name) and entry.name not in kept:
            entry.unlink(missing_ok=True)


def _describe(file: Path, index: Any, checksums: list[int]) -> VectorsFile:
    """Returns what is said of a vectors' file, having read it: it holds what is in memory, where it is expected."""
    size_bytes = file.stat().st_size
    head_bytes = size_bytes - index.ntotal * (index.code_size + NUMBER_BYTES)
    with file.open("rb") as stream:
        head = stream.read(head_bytes)
    sizes = cell_sizes(index)
    Cells(file, head_bytes, index.code_size, sizes, checksums).check(range(len(sizes)))
    return VectorsFile(name=file.name, size_bytes=size_bytes, head_bytes=head_bytes, head_crc32c=crc32c(head))
