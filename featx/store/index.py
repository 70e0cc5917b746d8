"""What a store says about itself: ``store.json``, the records of its shards, and where each video's rows are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from featx.errors import FeatxError
from featx.files.checksummed_json import Damaged, dump_checksummed, read_checksummed
from featx.files.documents import check_version, first_problem
from featx.store.entries import Entries
from featx.store.schema import (
    ARRAY_NAMES,
    CHANGES,
    CHUNK_ROWS,
    ENDINGS,
    GONE,
    INFO_NAMES,
    READABLE_VERSIONS,
    SHARD_NAME,
    SHARDS_FOLDER,
    STORE_FILE,
    ChunkTable,
    Entry,
    Fingerprint,
    ShardRecord,
    StoreHeader,
    record_path,
    shard_number,
)
from featx.store.shard import ShardEntry


def read_header(path: Path) -> StoreHeader:
    """Reads ``store.json``.

    Raises:
        FeatxError: If there is none, or it is not one that this featx reads.
        Damaged: If it is not as it was written, or is gone while there are shards.
    """
    file = path / STORE_FILE
    try:
        content = read_checksummed(file)
        if "featx_store" not in content:
            raise Damaged(f"{file}: not what describes a store")
        check_version(file, content["featx_store"], *READABLE_VERSIONS)
        return StoreHeader.model_validate(content)
    except OSError as error:
        if next(shard_numbers(path), None) is not None:
            raise Damaged(
                f"{file}: cannot be read ({error.strerror}), but there are shards; featx store verify --repair makes it "
                "again from their records"
            ) from error
        raise FeatxError(
            f"{path}: not a feature store (no readable {STORE_FILE}); make one with featx extract"
        ) from error
    except Damaged as error:
        raise Damaged(
            f"{error}; featx store verify --repair makes it again from the shards' records"
        ) from error
    except ValidationError as error:
        raise Damaged(
            f"{file}: {first_problem(error)}; featx store verify --repair makes it again from the shards' records"
        ) from error


def header_bytes(header: StoreHeader) -> bytes:
    """Returns the content of ``store.json``."""
    return dump_checksummed(header.model_dump())


def record_bytes(record: ShardRecord) -> bytes:
    """Returns the content of a record's file."""
    content = dataclasses.asdict(record)
    for name in CHANGES:
        if not content[name]:
            del content[name]
    return dump_checksummed(content)


def shard_numbers(path: Path) -> Iterator[int]:
    """Yields the numbers of all shards that have a record, in no order."""
    for file in (path / SHARDS_FOLDER).glob("shard-*.json"):
        if match := SHARD_NAME.fullmatch(file.stem):
            yield int(match[1])


def read_record(file: Path) -> ShardRecord:
    """Reads the record of one shard.

    Raises:
        Damaged: If it is not what was written.
    """
    try:
        content = read_checksummed(file)
        check_version(file, content.get("featx_shard"), *READABLE_VERSIONS)
        chunks = {name: ChunkTable(**table) for name, table in content.pop("chunks").items()}
        record = ShardRecord(chunks=chunks, **(content | _changes(content)))
        _check_counts(record, file.stem)
        return record
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise Damaged(f"{file}: not a shard's record ({error})") from error


def _changes(content: dict[str, Any]) -> dict[str, list[Any]]:
    """Takes out what a record says of other records' entries.

    Raises:
        ValueError: If an update is of unknown fields.
    """
    drops = [
        Entry(str(shard), int(index), str(video_id)) for shard, index, video_id in content.get("drops", [])
    ]
    updates = []
    for (shard, index, video_id), now in content.get("updates", []):
        if not set(now) <= {"id", *INFO_NAMES}:
            raise ValueError(f"an update of {', '.join(now)}")
        updates.append((Entry(str(shard), int(index), str(video_id)), now))
    moves = [(str(before), str(now)) for before, now in content.get("root_moves", [])]
    return {"drops": drops, "updates": updates, "root_moves": moves}


def _check_counts(record: ShardRecord, name: str) -> None:
    """Checks that the parts of a record fit together.

    Raises:
        ValueError: If they do not.
    """
    if record.name != name or record.format not in ENDINGS:
        raise ValueError(f"it is of shard {record.name}, format {record.format}")
    videos = len(record.ids)
    if len(record.rows) != videos or any(len(column) != videos for column in record.facts.values()):
        raise ValueError("ids, rows and facts differ in length")
    if not videos:
        return
    rows = np.asarray(record.rows, dtype=np.int64)
    if rows.min() < 1:
        raise ValueError("a video without rows")
    for array in ARRAY_NAMES:
        table = record.chunks[array]
        chunks = -(-(videos + 1 if array == "offsets" else int(rows.sum())) // CHUNK_ROWS)
        if len(table.starts) != chunks or len(table.crc32c) != chunks:
            raise ValueError(f"{array}: not {chunks} chunks")


def read_records(
    path: Path, header: StoreHeader, numbers: Iterable[int] | None = None
) -> Iterator[ShardRecord]:
    """Yields the records of committed shards, in the order of their numbers.

    Args:
        path: The store.
        header: Its ``store.json``.
        numbers: Of the shards, ascending; by default all.

    Raises:
        Damaged: If one is damaged, or of another store.
    """
    store = header.model_dump()
    for number in sorted(shard_numbers(path)) if numbers is None else numbers:
        file = path / SHARDS_FOLDER / f"shard-{number:05d}.json"
        try:
            record = read_record(file)
        except Damaged as error:
            raise Damaged(
                f"{error}; featx store verify --repair drops the shard, so that featx extract computes it again"
            ) from error
        if record.store != store:
            raise Damaged(
                f"{file}: belongs to another store ({'; '.join(store_differences(record.store, store))}); featx "
                "store verify tells which of them is the odd one"
            )
        yield record


def store_differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Returns what differs between two contents of ``store.json``."""
    differing = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    if "fingerprint" not in differing:
        return [f"{key}: {one.get(key)}, not {other.get(key)}" for key in differing]
    try:
        mine, theirs = (Fingerprint(**each["fingerprint"]) for each in (one, other))
    except (ValidationError, KeyError, TypeError):
        return ["fingerprint"]
    return mine.differences(theirs)


class StoreIndex:
    """Where every live video of a store is; a million of them are opened in seconds.

    Attributes:
        shards: One for each record, also where it has no videos.
        number_of: The number of a video by its id, in the order of the shards.
        ids: V video ids.
        shard_of: (V,) int64 index into ``shards``.
        position: (V,) int64 position in the ids of the shard's record.
        first_row: (V,) int64 row of the shard at which the video begins.
        rows: (V,) int64 rows of each video.
        video_info: The fields of `VideoInfo` that were chosen, as they are now: lists with one entry a video.
    """

    shards: Sequence[ShardEntry]
    number_of: Mapping[str, int]
    ids: Sequence[str]

    def __init__(self, path: Path, header: StoreHeader, video_info: Iterable[str] = ()) -> None:
        """Reads all records.

        Args:
            path: The store.
            header: Its ``store.json``.
            video_info: Names of the fields of `VideoInfo` to keep in memory.

        Raises:
            Damaged: If one is damaged, or a video is in two shards.
        """
        shards: list[ShardEntry] = []
        self.shards = shards
        entries = Entries()
        rows, first_rows = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        columns: dict[str, list[Any]] = {name: [] for name in video_info}
        failures: dict[str, tuple[int, dict[str, Any]]] = {}
        for record in read_records(path, header):
            shard_rows = np.asarray(record.rows, dtype=np.int64)
            ends = np.cumsum(shard_rows)
            shards.append(ShardEntry.of(record))
            entries.add(record)
            rows.append(shard_rows)
            first_rows.append(ends - shard_rows)
            for name, column in columns.items():
                column += record.facts.get(name) or [None] * len(record.ids)
            failures |= {failure["id"]: (shard_number(record.name), failure) for failure in record.failures}
        live = entries.live()
        if live.problems:
            number, problem = live.problems[0]
            raise Damaged(
                f"{record_path(path, self.shards[number].name)}: {problem}; featx store verify --repair mends it"
            )
        self.live = live
        self.ids = live.ids
        self.shard_of = live.shard_of
        self.position = live.position
        self.rows = np.concatenate(rows)[live.place]
        self.first_row = np.concatenate(first_rows)[live.place]
        self.video_info: dict[str, list[Any]] = live.columns_now(columns)
        self.number_of = {video_id: number for number, video_id in enumerate(self.ids)}
        if len(self.number_of) != len(self.ids):
            twice = next(v for number, v in enumerate(self.ids) if self.number_of[v] != number)
            raise Damaged(
                f"{path}: video '{twice}' is in it twice; featx store verify --repair drops the second shard"
            )

        self._failures = {
            video_id: (part, failure)
            for video_id, (part, failure) in failures.items()
            if part >= self._shard_number_of(video_id) and not failure.get(GONE)
        }

    @property
    def failures(self) -> dict[str, tuple[int, dict[str, Any]]]:
        """In stores with a plan, the videos that failed, by id: number of the part, and the fields of `Failure`.

        Those that have succeeded since are not among them.
        """
        return self._failures

    def _shard_number_of(self, video_id: str) -> int:
        """Returns the number of the shard that a video is in; -1 if it is in none."""
        number = self.number_of.get(video_id)
        return -1 if number is None else shard_number(self.shards[self.shard_of[number]].name)

    @property
    def dropped(self) -> np.ndarray:
        """How many videos of each shard are no longer read."""
        videos = np.array([shard.videos for shard in self.shards], np.int64)
        return videos - np.bincount(self.shard_of, minlength=len(videos))

    def entry(self, number: int) -> Entry:
        """Returns what records name a video by: as its shard has it, whatever its id is now."""
        shard, position = self.shards[self.shard_of[number]], int(self.position[number])
        return Entry(shard.name, position, self.live.recorded_ids.get(number, self.ids[number]))
