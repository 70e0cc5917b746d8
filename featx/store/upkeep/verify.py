"""Checking a store from end to end, and dropping what is damaged so that it can be computed again."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from featx.errors import FeatxError
from featx.files.atomic import write_atomically
from featx.files.checksummed_json import Damaged
from featx.signals import DeferSignals
from featx.store.backends.interface import Backend, NotThere
from featx.store.backends.local import LocalFolder
from featx.store.backends.open import open_backend
from featx.store.entries import Entries, Live, without_videos
from featx.store.failures import FailureList
from featx.store.identity import Identity, identity_of
from featx.store.index import (
    header_bytes,
    read_header,
    read_record,
    record_bytes,
    shard_numbers,
)
from featx.store.mirror import refresh, url_of
from featx.store.parts.plan import find_plans
from featx.store.schema import (
    ENDINGS,
    FAILURES_FILE,
    GONE,
    SHARD_NAME,
    SHARDS_FOLDER,
    STORE_FILE,
    ShardRecord,
    StoreHeader,
    record_path,
    shard_name,
    shard_number,
    shard_path,
)
from featx.store.upkeep.verify_shard import Finding, findings_of_shard, problems_of_record
from featx.store.writing.leftovers import remove, uncommitted
from featx.store.writing.lock import StoreLock


@dataclass
class VerifyReport:
    """What was looked at, and what was found."""

    shards: int = 0
    videos: int = 0
    rows: int = 0
    dropped: int = 0  # of the videos
    lost_records: int = 0  # that are missing or cannot be read
    open_parts: set[int] = field(default_factory=set)  # of a plan, which no machine has committed yet
    planned: set[int] = field(default_factory=set)  # parts of its plans, if there are any
    kept: dict[int, ShardRecord] = field(
        default_factory=dict
    )  # those that say something of other shards' videos
    findings: list[Finding] = field(default_factory=list)
    identity: Identity = field(default_factory=lambda: Identity(None))

    @property
    def to_drop(self) -> list[int]:
        """Numbers of the shards that are not as they should be."""
        return sorted({each.drop for each in self.findings if each.drop is not None})


def verify(
    path: Path,
    expected_ids: list[str] | None = None,
    repair: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> VerifyReport:
    """Looks at every byte of a store.

    Args:
        path: The store: a folder, or a URL, whose shards are fetched one after another.
        expected_ids: The videos that should be in it, or among its failures.
        repair: Drop what is damaged: an empty record takes the place of a bad shard, whose videos are then computed
            by the next extract; ``store.json`` is made again from the records if it is damaged, or of another store
            than they are.
        progress: Called with the shards done and their total.

    Raises:
        FeatxError: If it is not a store, is being written, or cannot be repaired.
    """
    if (url := url_of(path)) is not None:
        if repair:
            raise FeatxError(f"--repair: {url} cannot be repaired where it is; copy it into a folder")
        backend = open_backend(url)
        return _look(refresh(url, backend), expected_ids, progress, backend)
    if not (path / SHARDS_FOLDER).is_dir() and not (path / STORE_FILE).is_file():
        raise FeatxError(f"{path}: not a feature store (no {STORE_FILE} and no {SHARDS_FOLDER}/)")
    lock = _lock(path, repair)
    try:
        report = _look(path, expected_ids, progress)
        if repair:
            _repair(path, report)
    finally:
        if lock is not None:
            lock.release()
    return report


def _lock(path: Path, repair: bool) -> StoreLock | None:
    """Keeps writers away; nobody writes where nobody may.

    Raises:
        FeatxError: If another process writes into the store, or it shall be repaired and cannot be written.
    """
    try:
        (path / "lock").open("a").close()
    except OSError as error:
        if repair:
            raise FeatxError(f"{path}: cannot be written ({error.strerror})") from error
        return None
    return StoreLock(path)


def _look(
    path: Path,
    expected_ids: list[str] | None,
    progress: Callable[[int, int], None],
    backend: Backend | None = None,
) -> VerifyReport:
    """Looks at everything; with ``backend``, ``path`` only has the records of a store at a URL."""
    report = VerifyReport()
    found = report.findings
    if not (path / SHARDS_FOLDER).is_dir():
        found.append(Finding(SHARDS_FOLDER, "is missing"))
        return report
    numbers = sorted(shard_numbers(path))
    report.identity = _identity(path, numbers, found)
    _look_around(path, found)
    plans = find_plans(backend or LocalFolder(path))
    report.planned, report.open_parts = set(plans.numbers), plans.open_parts(numbers)
    entries, failed, known = Entries(), set[str](), set[str]()  # ids, and files that a record speaks of
    for number in range(max(numbers, default=-1) + 1):
        progress(min(number, len(numbers)), len(numbers))
        if number in report.open_parts:
            entries.add(ShardRecord(shard_name(number), "", {}))
            continue
        record = _record(path, number, report, backend)
        entries.add(record)
        known.update(record.files, [f"{shard_name(number)}.json"])
        failed.update(failure["id"] for failure in record.failures if GONE not in failure)
        if record.files:
            report.shards += 1
            report.videos += len(record.ids)
            report.rows += sum(record.rows)
    progress(len(numbers), len(numbers))
    if backend is not None:
        found += _without_record(backend, known)
    live = entries.live()
    report.dropped = report.videos - len(live.ids)
    report.kept = {number: entries.sound(record) for number, record in report.kept.items()}
    found += _of_changes(live)
    failed |= _failures(path, found)
    if expected_ids is not None:
        found += _against(expected_ids, set(live.ids), failed)
    return report


def _record(path: Path, number: int, report: VerifyReport, backend: Backend | None) -> ShardRecord:
    """Reads a record and looks at its shard; an empty one stands for what cannot be read or is of another store."""
    name = shard_name(number)
    file = record_path(path, name)
    place = f"{SHARDS_FOLDER}/{file.name}"
    empty = ShardRecord(name, "", {})
    try:
        record = read_record(file)
    except Damaged as error:
        problem = str(error).removeprefix(f"{file}: ") if file.exists() else "is missing: its videos are lost"
        report.findings.append(Finding(place, problem, number))
        report.lost_records += 1
        return empty
    problems = problems_of_record(record, report.identity.header)
    report.findings += [Finding(place, problem, number) for problem in problems]
    with _arrays_here(path, record, backend):
        report.findings += findings_of_shard(path, number, record)
    if problems:
        return dataclasses.replace(record, drops=[], updates=[], root_moves=[])
    if record.drops or record.updates or record.root_moves:
        report.kept[number] = record
    return record


@contextlib.contextmanager
def _arrays_here(path: Path, record: ShardRecord, backend: Backend | None) -> Iterator[None]:
    """Fetches the arrays of one shard of a store at a URL, and removes them again."""
    if backend is None:
        yield
        return
    folder = path / SHARDS_FOLDER
    try:
        for name in record.files:
            with contextlib.suppress(NotThere):  # that is found when it is looked at
                file = folder / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(backend.get(f"{SHARDS_FOLDER}/{name}"))
        yield
    finally:
        for top in {name.split("/")[0] for name in record.files}:
            if (folder / top).exists():
                remove(folder / top)


def _without_record(backend: Backend, known: set[str]) -> Iterator[Finding]:
    """Says what lies among the shards of a store at a URL and in no record: once for each array's folder or file."""
    names = {listed.key.removeprefix(f"{SHARDS_FOLDER}/") for listed in backend.list(SHARDS_FOLDER)}
    for name in sorted({name.split("/")[0] for name in names - known}):
        yield Finding(
            f"{SHARDS_FOLDER}/{name}",
            "no record speaks of it: left by a machine that was killed, or being written",
        )


def _of_changes(live: Live) -> Iterator[Finding]:
    """Says which records speak of videos that are not there, and which ids are there twice."""
    for number, problem in live.problems:
        yield Finding(f"{SHARDS_FOLDER}/{shard_name(number)}.json", problem, number)
    first_in: dict[str, int] = {}
    earlier: dict[int, list[str]] = {}  # by the record that is in the way
    again: set[int] = set()
    for video_id, number in zip(live.ids, live.shard_of.tolist(), strict=True):
        if video_id not in first_in:
            first_in[video_id] = number
        elif first_in[video_id] == number:
            again.add(number)
        else:
            earlier.setdefault(number, []).append(video_id)
    for number, ids in earlier.items():
        place = f"{SHARDS_FOLDER}/{shard_name(number)}.json"
        yield Finding(place, f"{len(ids)} videos are in an earlier shard too, '{ids[0]}' first", number)
    for number in again:
        yield Finding(f"{SHARDS_FOLDER}/{shard_name(number)}.json", "a video is in it twice", number)


def _identity(path: Path, numbers: list[int], found: list[Finding]) -> Identity:
    stated: StoreHeader | None = None
    try:
        stated = read_header(path)
    except Damaged as error:
        problem = (
            "is missing" if not (path / STORE_FILE).exists() else str(error).split(": ", 1)[1].split(";")[0]
        )
        found.append(Finding(STORE_FILE, problem))
    of_shards = {}
    for number in numbers:
        with contextlib.suppress(FeatxError, ValueError):  # damaged records are found one by one
            record = read_record(record_path(path, shard_name(number)))
            of_shards[record.name] = StoreHeader.model_validate(record.store)
    identity = identity_of(stated, of_shards)
    if identity.problem:
        found.append(Finding(STORE_FILE, identity.problem))
    if identity.undecided:
        found.append(Finding(SHARDS_FOLDER, identity.undecided))
    return identity


def _look_around(path: Path, found: list[Finding]) -> None:
    """Looks at what lies in the folder of the shards, not into it."""
    without_record = set(uncommitted(path))
    for entry in sorted((path / SHARDS_FOLDER).iterdir()):
        place = f"{SHARDS_FOLDER}/{entry.name}"
        if entry in without_record:
            partial = entry.suffix == ".partial"
            found.append(
                Finding(
                    place,
                    "left by an interrupted run" if partial else "has no record: lost, or never written",
                )
            )
        elif not SHARD_NAME.fullmatch(entry.name.split(".")[0]) or entry.suffix not in {
            ".json",
            *ENDINGS.values(),
        }:
            found.append(Finding(place, "not a file of a store"))


def _failures(path: Path, found: list[Finding]) -> set[str]:
    try:
        return set(FailureList(path).ids)
    except (FeatxError, OSError, UnicodeDecodeError) as error:
        found.append(Finding(FAILURES_FILE, str(error).split(": ", 1)[-1]))
        return set()


def _against(expected_ids: list[str], seen: set[str], failed: set[str]) -> list[Finding]:
    findings = []
    missing = [video_id for video_id in expected_ids if video_id not in seen and video_id not in failed]
    if missing:
        findings.append(
            Finding("", "videos of the manifest are neither in the store nor failed", ids=missing)
        )
    unknown = sorted(seen - set(expected_ids))
    if unknown:
        findings.append(Finding("", "videos of the store are not in the manifest", ids=unknown))
    return findings


def _repair(path: Path, report: VerifyReport) -> None:
    header = report.identity.header
    if report.identity.undecided:
        raise FeatxError(
            f"{path}: cannot be repaired: {report.identity.undecided}; move what is not this store's away, each shard with its "
            "record, and repair again"
        )
    if header is None:
        raise FeatxError(
            f"{path}: cannot be repaired: neither {STORE_FILE} nor the record of any shard is whole; start a new store"
        )
    (path / SHARDS_FOLDER).mkdir(exist_ok=True)
    if any(finding.path == STORE_FILE for finding in report.findings):
        write_atomically(path / STORE_FILE, header_bytes(header))
    spoken_of = {
        shard_number(entry.shard)
        for record in report.kept.values()
        for entry in [*record.drops, *(entry for entry, _ in record.updates)]
    }
    for number in report.to_drop:
        name = shard_name(number)
        if number in report.planned.difference(spoken_of):  # its part is open again
            with DeferSignals():
                record_path(path, name).unlink(missing_ok=True)
            continue
        empty = ShardRecord(name, header.format, header.model_dump())
        if number in report.kept:
            empty = without_videos(report.kept[number])
        with DeferSignals():
            write_atomically(record_path(path, name), record_bytes(empty))
            for format in ENDINGS:
                remove(shard_path(path, name, format))
    for entry in list(uncommitted(path)):
        remove(entry)
