"""Making a snapshot of a store's records, or of an earlier snapshot and the records that came since."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from featx.errors import FeatxError
from featx.files.checksummed_json import Damaged, dump_checksummed
from featx.store.schema import Entry, ShardRecord, shard_name, shard_number
from featx.store.snapshot_columns import (
    COLUMNS,
    NUMBERS,
    IdColumn,
    SnapshotHeader,
    as_bytes,
    bucket_bits,
    column_file,
    hash_of,
    open_column,
    put_snapshot_header,
)

ROWS_AT_ONCE = 1 << 22  # of a column, where it is written again


def build(
    target: Path,
    records: Iterable[tuple[ShardRecord, int]],
    before: tuple[Path, SnapshotHeader] | None = None,
) -> SnapshotHeader:
    """Writes a snapshot into a folder; its ``index.json`` last.

    Memory grows with 16 bytes a video, and with the changes that records speak of.

    Args:
        target: The folder.
        records: Those to add, with the size in bytes of each, in the order of their numbers: all of a store, or those
            that came after ``before``.
        before: Folder and header of an earlier snapshot.

    Raises:
        Damaged: If a video is in two records, or a record speaks of one that is not there.
        FeatxError: If the folder cannot be written.
    """
    making = _Making(target, before)
    try:
        making.add(records)
        making.change()
        making.sort()
        header = making.header()
        put_snapshot_header(target, dump_checksummed(header.model_dump()))
    except OSError as error:
        making.remove()
        raise FeatxError(f"{target}: the index cannot be written ({error.strerror})") from error
    except BaseException:
        making.remove()
        raise
    return header


class _Making:
    def __init__(self, target: Path, before: tuple[Path, SnapshotHeader] | None) -> None:
        self._target = target
        self._before = before
        self._header = SnapshotHeader(
            attempt=uuid.uuid4().hex[:12], videos=0, records=[], updates=[], root_moves=[]
        )
        self._sizes: list[tuple[int, int]] = []
        self._updates: dict[Entry, tuple[dict[str, Any], int | None]] = {}
        self._root_moves: list[tuple[int, str, str]] = []
        self._changing: list[tuple[int, ShardRecord]] = []
        self._renamed: set[int] = set()
        self._kept_hashes = np.zeros(0, np.uint64)  # of the videos of the earlier snapshot, by number
        self._folder = column_file(target, self._header, "x").parent
        self._folder.mkdir(parents=True)
        if before is not None:
            folder, header = before
            for name in (*NUMBERS, "id_bytes", "id_starts"):
                shutil.copyfile(column_file(folder, header, name), self._file(name))
            self._header = self._header.model_copy(update={"videos": header.videos})
            self._sizes += header.records
            self._root_moves += header.root_moves
            self._updates = {
                Entry(shard, position, video_id): (now, set_in)
                for shard, position, video_id, now, set_in in header.updates
            }
            self._kept_hashes = np.empty(header.videos, np.uint64)
            self._kept_hashes[open_column(folder, header, "by_hash")] = open_column(folder, header, "hashes")
        else:
            np.zeros(1, np.int64).tofile(self._file("id_starts"))

    def _file(self, name: str) -> Path:
        return column_file(self._target, self._header, name)

    def _column(self, name: str) -> np.ndarray:
        return open_column(self._target, self._header, name)

    def add(self, records: Iterable[tuple[ShardRecord, int]]) -> None:
        """Appends the entries of records to the columns."""
        videos = self._header.videos
        end = int(np.fromfile(self._file("id_starts"), np.int64, 1, offset=8 * videos)[0])
        with ExitStack() as stack:
            files: dict[str, BinaryIO] = {
                name: stack.enter_context(self._file(name).open("ab"))
                for name in (*NUMBERS, "id_bytes", "id_starts")
            }
            for record, size_bytes in records:
                place = len(self._sizes)
                self._sizes.append((shard_number(record.name), size_bytes))
                if record.drops or record.updates or record.root_moves:
                    self._changing.append((place, record))
                if not record.ids:
                    continue
                rows = np.asarray(record.rows, np.int64)
                ends = np.cumsum(rows)
                files["shard_of"].write(np.full(len(rows), place, np.int64).tobytes())
                files["position"].write(np.arange(len(rows)).tobytes())
                files["first_row"].write((ends - rows).tobytes())
                files["rows"].write(rows.tobytes())
                ids = [as_bytes(video_id) for video_id in record.ids]
                files["id_bytes"].write(b"".join(ids))
                starts = end + np.cumsum([len(one) for one in ids])
                files["id_starts"].write(starts.astype(np.int64).tobytes())
                end = int(starts[-1])
                videos += len(ids)
        self._header = self._header.model_copy(update={"videos": videos})

    def change(self) -> None:
        """Applies what the new records say of entries: some are no longer live, some have another id."""
        if not self._changing:
            return
        place_of = {shard_name(number): place for place, (number, _) in enumerate(self._sizes)}
        shard_of, position = self._column("shard_of"), self._column("position")
        ids = IdColumn(self._column("id_bytes"), self._column("id_starts"))
        dropped: set[int] = set()
        new_ids: dict[int, str] = {}
        for place, record in self._changing:
            for entry in record.drops:
                if (number := number_of_entry(entry, place_of, shard_of, position)) is not None:
                    self._check(entry, ids[number], record)
                    dropped.add(number)
                    self._updates.pop(entry, None)
            for entry, now in record.updates:
                if (number := number_of_entry(entry, place_of, shard_of, position)) is not None:
                    self._check(entry, ids[number], record)
                    earlier, set_in = self._updates.get(entry, ({}, None))
                    self._updates[entry] = {**earlier, **now}, place if "root" in now else set_in
                    if "id" in now:
                        new_ids[number] = now["id"]
            self._root_moves += [(place, *move) for move in record.root_moves]
        self._rewrite(dropped, {at: name for at, name in new_ids.items() if at not in dropped})

    def _check(self, entry: Entry, stands_there: str, record: ShardRecord) -> None:
        """Refuses a record that speaks of an entry by another id than stands there.

        Raises:
            Damaged: If it does.
        """
        now = self._updates.get(entry, ({}, None))[0].get("id", entry.id)
        if stands_there not in (entry.id, now):
            raise Damaged(
                f"{record.name}: speaks of video '{entry.id}' at {entry.position} of {entry.shard}, which has another; "
                "featx store verify --repair mends it"
            )

    def _rewrite(self, dropped: set[int], new_ids: dict[int, str]) -> None:
        """Writes the columns again without some entries, and with other ids."""
        if not dropped and not new_ids:
            return
        videos = self._header.videos
        live = np.ones(videos, bool)
        live[np.fromiter(dropped, np.int64, len(dropped))] = False
        ids = IdColumn(self._column("id_bytes"), self._column("id_starts"))
        lengths = np.diff(self._column("id_starts"))
        for number, video_id in new_ids.items():
            lengths[number] = len(as_bytes(video_id))
        with self._file("id_bytes.new").open("wb") as file:
            for number in np.flatnonzero(live).tolist():
                file.write(as_bytes(new_ids[number]) if number in new_ids else ids.bytes_of(number))
        np.concatenate([[0], np.cumsum(lengths[live])]).astype(np.int64).tofile(self._file("id_starts.new"))
        for name in NUMBERS:
            column = self._column(name)
            with self._file(f"{name}.new").open("wb") as file:
                for first in range(0, videos, ROWS_AT_ONCE):
                    past = first + ROWS_AT_ONCE
                    file.write(column[first:past][live[first:past]].tobytes())
        for name in (*NUMBERS, "id_bytes", "id_starts"):
            self._file(f"{name}.new").replace(self._file(name))
        kept = len(self._kept_hashes)
        moved = np.cumsum(live) - 1  # the number that each one has now
        self._renamed = {int(moved[number]) for number in new_ids}
        self._kept_hashes = self._kept_hashes[live[:kept]]
        self._header = self._header.model_copy(update={"videos": int(live.sum())})

    def sort(self) -> None:
        """Writes the hashes in order.

        Raises:
            Damaged: If two videos have one id.
        """
        videos = self._header.videos
        ids = IdColumn(self._column("id_bytes"), self._column("id_starts"))
        hashes = np.empty(videos, np.uint64)
        kept = len(self._kept_hashes)
        hashes[:kept] = self._kept_hashes
        new = (hash_of(as_bytes(video_id)) for video_id in ids.between(kept, videos))
        hashes[kept:] = np.fromiter(new, np.uint64, videos - kept)
        for number in self._renamed:
            hashes[number] = hash_of(ids.bytes_of(number))
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        for at in np.flatnonzero(hashes[1:] == hashes[:-1]).tolist():
            one, other = ids[int(order[at])], ids[int(order[at + 1])]
            if one == other:
                raise Damaged(f"video '{one}' is in the store twice; featx store verify --repair mends it")
        bits = bucket_bits(videos)
        firsts = np.arange(2**bits, dtype=np.uint64) << np.uint64(64 - bits)
        buckets = np.append(np.searchsorted(hashes, firsts), videos)
        for name, column in (("hashes", hashes), ("by_hash", order), ("buckets", buckets)):
            column.astype(COLUMNS[name]).tofile(self._file(name))

    def header(self) -> SnapshotHeader:
        """Returns what ``index.json`` says."""
        return self._header.model_copy(
            update={
                "records": self._sizes,
                "updates": [(*entry, now, set_in) for entry, (now, set_in) in self._updates.items()],
                "root_moves": self._root_moves,
            }
        )

    def remove(self) -> None:
        """Removes what was begun."""
        shutil.rmtree(self._folder, ignore_errors=True)


def number_of_entry(
    entry: Entry, place_of: dict[str, int], shard_of: np.ndarray, position: np.ndarray
) -> int | None:
    """Returns the number of an entry among those of the columns; None if it is not live any more."""
    place = place_of.get(entry.shard)
    if place is None:
        return None
    first, past = np.searchsorted(shard_of, [place, place + 1]).tolist()
    at = first + int(np.searchsorted(position[first:past], entry.position))
    return at if at < past and int(position[at]) == entry.position else None
