"""Which videos of a store's records are live, and under which ids and with which information: what later records said of them.

Nothing is ever changed in a shard. A record may say of entries of others that they are no longer read (drops), or that
something about them is different now (updates). Both name the entry by its shard, its position there, and the id that
stands there, so that they stay right wherever the record that says it lies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from featx.store.schema import Entry, ShardRecord, VideoInfo


@dataclass
class Live:
    """The live videos of a store, in the order of the disk.

    Attributes:
        ids: V video ids.
        place: (V,) int64 index of each among the entries of all records.
        shard_of: (V,) int64 number of its record, counted from 0 in the order of reading.
        position: (V,) int64 position in that record's ids.
        recorded_ids: The ids that stand in the shards' records, by the numbers of videos that have another one now.
        updates: What is different now, by the video's number: ``id`` and fields of `VideoInfo`.
        problems: Of records whose drops or updates cannot be right: number of the record, and what is wrong.
    """

    ids: Sequence[str]
    place: np.ndarray
    shard_of: np.ndarray
    position: np.ndarray
    recorded_ids: dict[int, str]
    updates: dict[int, dict[str, Any]]
    problems: list[tuple[int, str]]
    root_moves: list[tuple[int, str, str]] = field(default_factory=list)
    root_set_in: dict[int, int] = field(default_factory=dict)  # record of the last update of a video's root

    def info_now(self, number: int, recorded: VideoInfo) -> VideoInfo:
        """Returns the information about a video as it is now."""
        changes = {name: value for name, value in self.updates.get(number, {}).items() if name != "id"}
        root = changes.get("root", recorded.root)
        if self.root_moves and root is not None:
            changes["root"] = self.root_now(number, root)
        return dataclasses.replace(recorded, **changes) if changes else recorded

    def columns_now(self, recorded: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Returns columns of information about all live videos as they are now, of lists with an entry for all entries of all records."""
        whole = len(self.place) == len(next(iter(recorded.values()), []))
        places = self.place.tolist()
        columns = {
            name: column if whole else [column[place] for place in places]
            for name, column in recorded.items()
        }
        for number, changes in self.updates.items():
            for name in changes.keys() & columns.keys():
                columns[name][number] = changes[name]
        if self.root_moves and "root" in columns:
            roots = enumerate(columns["root"])
            columns["root"] = [root and self.root_now(number, root) for number, root in roots]
        return columns

    def root_now(self, number: int, root: str) -> str:
        """Returns where the folder that stands in a video's information has moved since."""
        since = self.root_set_in.get(number, int(self.shard_of[number]))
        for record, before, now in self.root_moves:
            if record > since and root == before:
                root = now
        return root


class Entries:
    """Takes all records in the order of their numbers, then says which of their videos are live."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._firsts: list[int] = []  # place of each record's first entry
        self._record_of: dict[str, int] = {}
        self._changing: list[tuple[int, ShardRecord]] = []

    def add(self, record: ShardRecord) -> None:
        """Takes the next record."""
        number = len(self._firsts)
        self._firsts.append(len(self._ids))
        self._record_of[record.name] = number
        self._ids += record.ids
        if record.drops or record.updates or record.root_moves:
            self._changing.append((number, record))

    def live(self) -> Live:
        """Applies what records say of each other's entries."""
        ids, problems = list(self._ids), []
        dropped = np.zeros(len(ids), bool)
        updates: dict[int, dict[str, Any]] = {}  # by place
        root_set_in: dict[int, int] = {}
        for number, record in self._changing:
            try:
                for at in self._places(record.drops):
                    dropped[at] = True
                for entry, now in record.updates:
                    for at in self._places([entry]):
                        updates.setdefault(at, {}).update(now)
                        ids[at] = now.get("id", ids[at])
                        if "root" in now:
                            root_set_in[at] = number
            except ValueError as error:
                problems.append((number, str(error)))
        place = np.flatnonzero(~dropped)
        counts = np.diff([*self._firsts, len(ids)])
        shard_of = np.repeat(np.arange(len(counts)), counts)
        position = np.arange(len(ids)) - np.repeat(np.array(self._firsts, np.int64), counts)
        number_of = {at: int(np.searchsorted(place, at)) for at in updates if not dropped[at]}
        return Live(
            [ids[at] for at in place.tolist()] if dropped.any() else ids,
            place,
            shard_of[place],
            position[place],
            {number: self._ids[at] for at, number in number_of.items() if ids[at] != self._ids[at]},
            {number: updates[at] for at, number in number_of.items()},
            problems,
            [(number, *move) for number, record in self._changing for move in record.root_moves],
            {number_of[at]: number for at, number in root_set_in.items() if at in number_of},
        )

    def sound(self, record: ShardRecord) -> ShardRecord:
        """Returns a record without what it says of entries that do not exist."""
        return dataclasses.replace(
            record,
            drops=[entry for entry in record.drops if self._exists(entry)],
            updates=[(entry, now) for entry, now in record.updates if self._exists(entry)],
        )

    def _exists(self, entry: Entry) -> bool:
        try:
            return self._place(entry) is not None
        except ValueError:
            return False

    def _places(self, entries: list[Entry]) -> Iterator[int]:
        """Yields where entries are among all; those of a shard that was emptied are nowhere.

        Raises:
            ValueError: If one does not exist.
        """
        for entry in entries:
            place = self._place(entry)
            if place is not None:
                yield place

    def _place(self, entry: Entry) -> int | None:
        number = self._record_of.get(entry.shard)
        if number is None:
            raise ValueError(f"it speaks of {entry.shard}, which is not there")
        first = self._firsts[number]
        past = self._firsts[number + 1] if number + 1 < len(self._firsts) else len(self._ids)
        if first == past:
            return None
        place = first + entry.position
        if not first <= place < past or self._ids[place] != entry.id:
            raise ValueError(
                f"it speaks of video '{entry.id}' at {entry.position} of {entry.shard}, which has another"
            )
        return place


def without_videos(record: ShardRecord, shards: Container[str] | None = None) -> ShardRecord:
    """Returns a record that has no videos any more, and still says what it said of others' (of ``shards`` only)."""
    return dataclasses.replace(
        record,
        ids=[],
        rows=[],
        facts={},
        files={},
        chunks={},
        drops=[entry for entry in record.drops if shards is None or entry.shard in shards],
        updates=[(entry, now) for entry, now in record.updates if shards is None or entry.shard in shards],
    )
