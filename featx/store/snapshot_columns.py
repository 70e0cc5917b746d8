"""The files of a snapshot: columns of numbers, the ids one after another, and their hashes in order.

An id is found by its hash. The first bits of the hash say where in the sorted hashes to look; what is found there is
compared with the id itself, so two ids of one hash do no harm.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from featx.files.atomic import write_atomically
from featx.files.checksummed_json import Damaged, read_checksummed
from featx.files.documents import check_version, first_problem
from featx.store.schema import shard_name

SNAPSHOT_FILE = "index.json"
SNAPSHOT_FOLDER = "index"
SNAPSHOT_VERSION = 1
OUTDATED = "records have changed since its index was made; all are read. featx store index makes it anew"
NUMBERS = ("shard_of", "position", "first_row", "rows")  # (V,) each, see `StoreIndex`
COLUMNS = {
    **dict.fromkeys(NUMBERS, "<i8"),
    "id_bytes": "u1",  # of all ids, UTF-8
    "id_starts": "<i8",  # (V + 1,)
    "hashes": "<u8",  # (V,) ascending
    "by_hash": "<i8",  # (V,) number of the video of each hash
    "buckets": "<i8",  # (2^B + 1,) place of the first hash whose first B bits are at least this
}
IDS_A_BUCKET = 64
IDS_AT_ONCE = 65536


class SnapshotHeader(BaseModel):
    """The content of ``index.json``.

    Attributes:
        featx_index: Version of this layout.
        attempt: Below ``index/`` this folder holds the columns.
        videos: How many live videos it has.
        records: Number and size in bytes of each record that it was made of, ascending.
        updates: What later records say of entries that are live: shard, position and id in its record; what is different
            now; and the place, among the records, of the one that set its root.
        root_moves: Folders that have moved: place of the record that says so, before, now.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    featx_index: int = SNAPSHOT_VERSION
    attempt: str
    videos: int
    records: list[tuple[int, int]]
    updates: list[tuple[str, int, str, dict[str, Any], int | None]]
    root_moves: list[tuple[int, str, str]]


def read_snapshot_header(folder: Path) -> SnapshotHeader | None:
    """Returns what a folder's ``index.json`` says, or None if there is none.

    Raises:
        Damaged: If it is not as it was written.
    """
    file = folder / SNAPSHOT_FILE
    if not file.exists():
        return None
    try:
        content = read_checksummed(file)
    except Damaged as error:
        raise Damaged(f"{error}; featx store index makes it anew") from error
    check_version(file, content.get("featx_index"), SNAPSHOT_VERSION)
    try:
        return SnapshotHeader.model_validate(content)
    except ValidationError as error:
        raise Damaged(f"{file}: {first_problem(error)}; featx store index makes it anew") from error


def is_true_of(stated: SnapshotHeader, sizes: Mapping[str, int], may_lack: bool = False) -> bool:
    """Tells whether the records that a snapshot was made of are as they were then.

    Args:
        stated: The snapshot.
        sizes: In bytes, of the records' files that there are, by name.
        may_lack: Whether records may be missing among them.
    """
    return all(
        sizes.get(f"{shard_name(number)}.json", size if may_lack else None) == size
        for number, size in stated.records
    )


def put_snapshot_header(folder: Path, content: bytes) -> None:
    """Puts ``index.json`` in place, and removes the columns of the one before: who has those open keeps what is mapped.

    Raises:
        OSError: If it cannot be written.
    """
    earlier = _attempt_in(folder)
    write_atomically(folder / SNAPSHOT_FILE, content)
    if earlier and earlier != _attempt_in(folder):
        shutil.rmtree(folder / SNAPSHOT_FOLDER / earlier, ignore_errors=True)


def _attempt_in(folder: Path) -> str | None:
    """Returns which attempt the snapshot of a folder is; None if there is none, or it is damaged."""
    try:
        stated = read_snapshot_header(folder)
    except Damaged:
        return None
    return stated.attempt if stated is not None else None


def column_file(folder: Path, header: SnapshotHeader, name: str) -> Path:
    """Returns where a column lies."""
    return folder / SNAPSHOT_FOLDER / header.attempt / f"{name}.bin"


def open_column(folder: Path, header: SnapshotHeader, name: str) -> np.ndarray:
    """Maps a column into memory, read-only.

    Raises:
        Damaged: If it is missing, or does not have the length that it should.
    """
    file, dtype = column_file(folder, header, name), np.dtype(COLUMNS[name])
    lengths = {"id_starts": header.videos + 1, "buckets": 2 ** bucket_bits(header.videos) + 1}
    expected = lengths.get(name, None if name == "id_bytes" else header.videos)
    try:
        size_bytes = file.stat().st_size
        if expected is not None and size_bytes != expected * dtype.itemsize:
            raise Damaged(
                f"{file}: has {size_bytes} bytes, not {expected * dtype.itemsize}; featx store index makes it anew"
            )
        return np.memmap(file, dtype, "r") if size_bytes else np.zeros(0, dtype)
    except OSError as error:
        raise Damaged(
            f"{file}: cannot be read ({error.strerror}); featx store index makes it anew"
        ) from error


def as_bytes(video_id: str) -> bytes:
    """Returns an id as it stands in a snapshot; a file's name need not be UTF-8."""
    return video_id.encode("utf-8", "surrogatepass")


def hash_of(id_bytes: bytes) -> int:
    """Returns 64 bits of the BLAKE2 hash of an id."""
    return int.from_bytes(hashlib.blake2b(id_bytes, digest_size=8).digest(), "big")


def bucket_bits(videos: int) -> int:
    """Returns how many bits of a hash choose the bucket: some 64 ids are in each."""
    return max(videos // IDS_A_BUCKET, 1).bit_length()


class IdColumn(Sequence[str]):
    """All ids of a snapshot by their number."""

    def __init__(self, id_bytes: np.ndarray, starts: np.ndarray) -> None:
        """Takes the bytes of all V ids one after another, and their (V + 1,) starts."""
        self._bytes, self._starts = id_bytes, starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            first, past, step = place.indices(len(self))
            return (
                list(self.between(first, past))
                if step == 1
                else [self[at] for at in range(first, past, step)]
            )
        at = range(len(self))[place]
        return self.bytes_of(at).decode("utf-8", "surrogatepass")

    def bytes_of(self, number: int) -> bytes:
        """Returns an id as it stands in the column."""
        return bytes(self._bytes[int(self._starts[number]) : int(self._starts[number + 1])])

    def __iter__(self) -> Iterator[str]:
        return self.between(0, len(self))

    def between(self, first: int, past: int) -> Iterator[str]:
        """Yields the ids of numbers from ``first`` to before ``past``."""
        for begin in range(first, past, IDS_AT_ONCE):
            starts = self._starts[begin : min(begin + IDS_AT_ONCE, past) + 1]
            text = bytes(self._bytes[int(starts[0]) : int(starts[-1])])
            ends = (starts - starts[0]).tolist()
            for start, end in pairwise(ends):
                yield text[start:end].decode("utf-8", "surrogatepass")


class NumberOfId(Mapping[str, int]):
    """The number of a video by its id; one look-up touches a page or two of each column."""

    def __init__(self, ids: IdColumn, hashes: np.ndarray, by_hash: np.ndarray, buckets: np.ndarray) -> None:
        """Takes the columns of a snapshot."""
        self._ids, self._hashes, self._by_hash, self._buckets = ids, hashes, by_hash, buckets
        self._shift = 64 - bucket_bits(len(ids))

    def __getitem__(self, video_id: str) -> int:
        wanted = as_bytes(video_id)
        number_of_bits = hash_of(wanted)
        bucket = number_of_bits >> self._shift
        first, past = int(self._buckets[bucket]), int(self._buckets[bucket + 1])
        hashes = self._hashes[first:past]
        at = first + int(np.searchsorted(hashes, np.uint64(number_of_bits)))
        while at < past and int(self._hashes[at]) == number_of_bits:
            number = int(self._by_hash[at])
            if self._ids.bytes_of(number) == wanted:
                return number
            at += 1
        raise KeyError(video_id)

    def __contains__(self, video_id: object) -> bool:
        return isinstance(video_id, str) and self.get(video_id) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)
