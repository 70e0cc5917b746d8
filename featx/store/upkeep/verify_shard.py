"""Checking one shard: its record, every byte of its files, and what both readers make of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from featx.store.formats import FORMATS, file_digests
from featx.store.index import store_differences
from featx.store.schema import (
    ARRAY_NAMES,
    ENDINGS,
    REQUIRED_INFO,
    SHARDS_FOLDER,
    ShardRecord,
    StoreHeader,
    shard_path,
)
from featx.store.shard import ShardEntry
from featx.store.writing.checks import problem_of


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        path: Where, below the store.
        problem: What.
        drop: Number of the shard that has to be dropped for it, or None.
        ids: The videos it is about, when it is about the manifest.
    """

    path: str
    problem: str
    drop: int | None = None
    ids: list[str] = field(default_factory=list)


def problems_of_record(record: ShardRecord, header: StoreHeader | None) -> list[str]:
    """Says what is wrong with a record by itself."""
    problems = []
    if header is not None and record.store != header.model_dump():
        differences = "; ".join(store_differences(record.store, header.model_dump()))
        problems.append(f"belongs to another store ({differences})")
    if record.ids and not set(REQUIRED_INFO) <= set(record.facts):
        problems.append(f"facts are {', '.join(record.facts)}")
    return problems


def findings_of_shard(path: Path, number: int, record: ShardRecord) -> list[Finding]:
    """Compares the files of a shard with its record: every byte, then what both readers make of them."""
    if not record.ids:
        left = [shard_path(path, record.arrays, format) for format in ENDINGS]
        return [
            Finding(f"{SHARDS_FOLDER}/{each.name}", "left behind when the shard was emptied", number)
            for each in left
            if each.exists()
        ]
    wanted = record.files
    there: dict[str, tuple[int, str]] = {}
    findings = []
    for format in ENDINGS:
        shard = shard_path(path, record.arrays, format)
        try:
            there |= file_digests(shard, shard.name) if shard.exists() else {}
        except OSError as error:
            return [Finding(f"{SHARDS_FOLDER}/{shard.name}", f"unreadable ({error})", number)]
    for file in sorted({*wanted, *there}):
        place = f"{SHARDS_FOLDER}/{file}"
        if file not in there:
            findings.append(Finding(place, "is missing", number))
        elif file not in wanted:
            findings.append(Finding(place, "is not of this shard", number))
        elif there[file][0] != wanted[file][0]:
            problem = f"has {there[file][0]} bytes, {wanted[file][0]} were written"
            findings.append(Finding(place, problem, number))
        elif there[file][1] != wanted[file][1]:
            findings.append(Finding(place, "damaged: its sha256 is not that of what was written", number))
    if findings:
        return findings
    place = f"{SHARDS_FOLDER}/{shard_path(path, record.arrays, record.format).name}"
    return [Finding(place, problem, number) for problem in _of_values(path, record)]


def _of_values(path: Path, record: ShardRecord) -> list[str]:
    try:
        fingerprint = StoreHeader.model_validate(record.store).fingerprint
        arrays = ShardEntry.of(record).read(path, fingerprint)
        library = FORMATS[record.format].read(shard_path(path, record.arrays, record.format))
    except Exception as error:  # zarr and h5py raise many kinds for damage; all mean the same to a user
        return [f"cannot be read ({type(error).__name__}: {error})"]
    problems = []
    for name in ARRAY_NAMES:
        one, other = getattr(arrays, name), getattr(library, name)
        if one.dtype != other.dtype or one.tobytes() != other.tobytes() or one.shape != other.shape:
            problems.append(f"{name}: {record.format}'s own reader gives other values")
    if not np.array_equal(arrays.offsets, np.cumsum([0, *record.rows])):
        return [*problems, "offsets are not those of the record's rows"]
    for index, video_id in enumerate(record.ids):
        if problem := problem_of(arrays.video(index), fingerprint):
            problems.append(f"video '{video_id}': {problem}")
    return problems
