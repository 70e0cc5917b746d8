"""Opening the index of a store: its snapshot, if it has one that is still true, or all its records."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from featx.files.atomic import write_atomically
from featx.files.checksummed_json import Damaged
from featx.output.console import say
from featx.store.backends.open import open_backend
from featx.store.entries import Live
from featx.store.index import StoreIndex, read_header, read_record, read_records, shard_numbers
from featx.store.mirror import cache_folder, refresh
from featx.store.schema import (
    SHARDS_FOLDER,
    Entry,
    ShardRecord,
    StoreHeader,
    record_path,
    shard_name,
)
from featx.store.shard import ShardEntry
from featx.store.snapshot_build import build, number_of_entry
from featx.store.snapshot_columns import (
    NUMBERS,
    OUTDATED,
    IdColumn,
    NumberOfId,
    SnapshotHeader,
    is_true_of,
    open_column,
    read_snapshot_header,
)

SHARDS_IN_MEMORY = 1024


def open_index(path: Path, header: StoreHeader, url: str | None = None) -> StoreIndex:
    """Returns the index of a store.

    A snapshot that records came after is brought up to date in the cache folder.

    Args:
        path: The store, or the folder that holds what is kept here of one at a URL.
        header: Its ``store.json``.
        url: Where the store is, if that is not ``path``: records that a snapshot knows may be missing here.

    Raises:
        Damaged: If a record or the snapshot is damaged, or a video is in two shards.
    """
    found = [(path, stated)] if (stated := read_snapshot_header(path)) else []
    with contextlib.suppress(Damaged):  # what was kept here can be made again
        found += [(_cache_of(path), stated)] if (stated := read_snapshot_header(_cache_of(path))) else []
    sizes = record_sizes(path) if found else {}
    usable = [each for each in found if is_true_of(each[1], sizes, may_lack=url is not None)]
    if found and not usable:
        say(f"{url or path}: {OUTDATED}")
    if not usable:
        return StoreIndex(path, header)
    folder, stated = max(usable, key=lambda each: len(each[1].records))
    if _new_numbers(path, stated):
        target = _cache_of(path)
        target.mkdir(parents=True, exist_ok=True)
        stated = build(target, records_since(path, header, stated), (folder, stated))
        folder = target
    return SnapshotIndex(path, folder, stated, url)


def record_sizes(path: Path) -> dict[str, int]:
    """Returns the size in bytes of each record of a store that is here, by the name of its file."""
    with os.scandir(path / SHARDS_FOLDER) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if entry.name.endswith(".json")}


def records_since(
    path: Path, header: StoreHeader, stated: SnapshotHeader | None
) -> Iterator[tuple[ShardRecord, int]]:
    """Yields the records that a snapshot does not know, in order, and their sizes in bytes.

    Args:
        path: The store.
        header: Its ``store.json``.
        stated: The snapshot; None for all records.

    Raises:
        Damaged: If one is damaged, or of another store.
    """
    for record in read_records(path, header, _new_numbers(path, stated)):
        yield record, record_path(path, record.name).stat().st_size


def _new_numbers(path: Path, stated: SnapshotHeader | None) -> list[int]:
    known = [number for number, _ in stated.records] if stated is not None else []
    return sorted(set(shard_numbers(path)).difference(known))


def _cache_of(path: Path) -> Path:
    name = hashlib.sha256(os.path.realpath(path).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return cache_folder() / "indexes" / name


class SnapshotIndex(StoreIndex):
    """The same as `StoreIndex` out of a snapshot: nothing of it is in memory but what is looked at."""

    def __init__(self, path: Path, folder: Path, stated: SnapshotHeader, url: str | None = None) -> None:
        """Maps the columns.

        Args:
            path: The store.
            folder: Of the snapshot.
            stated: Its ``index.json``.
            url: See `open_index`.

        Raises:
            Damaged: If a column is missing or short.
        """
        self._given = path, folder, stated, url
        self.shard_of, self.position, self.first_row, self.rows = (
            open_column(folder, stated, name) for name in NUMBERS
        )
        ids = IdColumn(open_column(folder, stated, "id_bytes"), open_column(folder, stated, "id_starts"))
        hashes, by_hash, buckets = (
            open_column(folder, stated, name) for name in ("hashes", "by_hash", "buckets")
        )
        self.ids = ids
        self.number_of = NumberOfId(ids, hashes, by_hash, buckets)
        self.shards = ShardsOfRecords(path, [shard_name(number) for number, _ in stated.records], url)
        self.video_info = {}
        self.live = self._live(stated)

    def _live(self, stated: SnapshotHeader) -> Live:
        place_of = {shard_name(number): place for place, (number, _) in enumerate(stated.records)}
        updates: dict[int, dict[str, Any]] = {}
        recorded: dict[int, str] = {}
        root_set_in: dict[int, int] = {}
        for shard, position, video_id, now, set_in in stated.updates:
            number = number_of_entry(Entry(shard, position, video_id), place_of, self.shard_of, self.position)
            if number is not None:
                updates[number] = now
                if "id" in now:
                    recorded[number] = video_id
                if set_in is not None:
                    root_set_in[number] = set_in
        return Live(
            ids=self.ids,
            place=self.position[:0],
            shard_of=self.shard_of,
            position=self.position,
            recorded_ids=recorded,
            updates=updates,
            problems=[],
            root_moves=stated.root_moves,
            root_set_in=root_set_in,
        )

    @property
    def failures(self) -> dict[str, tuple[int, dict[str, Any]]]:
        """As of `StoreIndex`: they are not in a snapshot, so all records are read."""
        path, _, _, url = self._given
        if url is not None:
            refresh(url, open_backend(url))
        return StoreIndex(path, read_header(path)).failures

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Another process maps the columns itself."""
        return SnapshotIndex, self._given


class ShardsOfRecords(Sequence[ShardEntry]):
    """The shards of a store, each read from its record when it is asked for; those asked for last stay in memory."""

    def __init__(self, path: Path, names: Sequence[str], url: str | None) -> None:
        """Takes the names of all shards."""
        self._path, self._names, self._url = path, names, url
        self._entry = functools.lru_cache(SHARDS_IN_MEMORY)(self._read)

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, place: int) -> ShardEntry: ...
    @overload
    def __getitem__(self, place: slice) -> list[ShardEntry]: ...
    def __getitem__(self, place: int | slice) -> ShardEntry | list[ShardEntry]:
        if isinstance(place, slice):
            return [self._entry(at) for at in range(*place.indices(len(self)))]
        return self._entry(range(len(self))[place])

    def _read(self, place: int) -> ShardEntry:
        return ShardEntry.of(record_here(self._path, self._names[place], self._url))


def record_here(path: Path, name: str, url: str | None) -> ShardRecord:
    """Returns a record; fetches it first if the store is at a URL and it is not here yet.

    Raises:
        Damaged: If it is damaged.
        FeatxError: If it cannot be fetched.
    """
    file = record_path(path, name)
    if url is not None and not file.exists():
        write_atomically(file, open_backend(url).get(file.relative_to(path).as_posix()))
    return read_record(file)
