"""Committing a part: arrays under a name of their own attempt, then the record, if nobody has put one.

The record is the commit. Whoever comes second deletes its arrays. A killed attempt leaves arrays that no record speaks
of; nobody reads them, and `featx store compact` frees them once all parts are there.
"""

from __future__ import annotations

import dataclasses
import tempfile
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.files.atomic import sync_tree
from featx.files.checksummed_json import parse_checksummed
from featx.store.backends.interface import Backend
from featx.store.backends.local import LocalFolder
from featx.store.failures import Failure
from featx.store.formats import FORMATS
from featx.store.index import header_bytes, record_bytes
from featx.store.parts.committed import is_there
from featx.store.parts.plan import Changes, Plans, read_changes
from featx.store.schema import (
    ENDINGS,
    GONE,
    PLANNED_VERSION,
    SHARDS_FOLDER,
    STORE_FILE,
    Fingerprint,
    ShardArrays,
    ShardRecord,
    StoreHeader,
    arrays_name,
    shard_name,
)
from featx.store.writing.checks import with_times_of
from featx.store.writing.header import own_versions
from featx.store.writing.writer import WaitingVideo, record_of


def open_planned_header(
    backend: Backend, fingerprint: Fingerprint, format: str, model_source: str
) -> StoreHeader:
    """Puts ``store.json`` if there is none: the first machine that knows the features says what they are.

    Raises:
        FeatxError: If the store was begun with other features, naming the difference.
    """
    header = StoreHeader(
        featx_store=PLANNED_VERSION,
        format=format,
        fingerprint=fingerprint,
        model_source=model_source,
        versions=own_versions(),
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
    )
    if backend.put_if_absent(STORE_FILE, header_bytes(header)):
        return header
    there = read_planned_header(backend)
    differences = fingerprint.differences(there.fingerprint)
    if there.format != format:
        differences.append(f"format: {format}, not {there.format}")
    if differences:
        raise FeatxError(
            f"{backend.name}: was begun with other features ({'; '.join(differences)}); a machine must compute the "
            "same ones: give --precision or --device"
        )
    return there


def read_planned_header(backend: Backend) -> StoreHeader:
    """Returns what ``store.json`` says.

    Raises:
        FeatxError: If there is none, or it is damaged.
    """
    return StoreHeader.model_validate(
        parse_checksummed(backend.get(STORE_FILE), f"{backend.name}/{STORE_FILE}")
    )


def commit_changes(backend: Backend, plans: Plans) -> None:
    """Commits what plans say of videos that were in the store before, where nobody has done so.

    This comes before anything else of a plan: no reader shall see a changed file's new rows beside the old ones.

    Raises:
        FeatxError: If the place cannot be read or written.
    """
    for plan in plans.plans:
        if plan.changes and not is_there(backend, plan.first):
            header = read_planned_header(backend)
            commit_part(backend, header, plan.first, [], [], changes=read_changes(backend, plan))


def commit_part(
    backend: Backend,
    header: StoreHeader,
    number: int,
    videos: Sequence[WaitingVideo],
    failures: Sequence[Failure],
    made_by: dict[str, Any] | None = None,
    changes: Changes | None = None,
) -> bool:
    """Writes a part's arrays and commits them.

    Args:
        backend: The place of the store.
        header: Its ``store.json``.
        number: Of the part.
        videos: Those with features, in the order of the plan.
        failures: Of the others.
        made_by: Which machine made it, when it began, and in how many seconds.
        changes: What has become of earlier entries, in a part without videos.

    Returns:
        Whether this is the commit that counts. If not, somebody else's is, and the arrays are deleted.

    Raises:
        FeatxError: If the place cannot be written. Nothing is committed then, or everything: the reply was lost.
    """
    attempt = uuid.uuid4().hex[:12]
    name = shard_name(number)
    failed: list[dict[str, Any]] = [dataclasses.asdict(failure) for failure in failures]
    record = ShardRecord(
        name, header.format, header.model_dump(), attempt=attempt, failures=failed, made_by=made_by or {}
    )
    record.featx_shard = PLANNED_VERSION
    if changes:
        record.drops, record.updates, record.root_moves = changes.drops, changes.updates, changes.root_moves
        record.failures = [{"id": video_id, GONE: True} for video_id in changes.gone_failures]
    if videos:
        record = _put_arrays(backend, header, record, videos)
    if backend.put_if_absent(f"{SHARDS_FOLDER}/{name}.json", record_bytes(record)):
        return True
    for file in record.files:
        backend.delete(f"{SHARDS_FOLDER}/{file}")
    return False


def _put_arrays(
    backend: Backend, header: StoreHeader, record: ShardRecord, videos: Sequence[WaitingVideo]
) -> ShardRecord:
    """Writes the arrays into the folder, or into a temporary one from where they are put; returns the whole record.

    Raises:
        FeatxError: If there is no room, or the place cannot be written.
    """
    name = f"{arrays_name(record.name, record.attempt)}{ENDINGS[header.format]}"
    arrays = ShardArrays.join([with_times_of(header, each.video, each.video_info) for each in videos])
    with tempfile.TemporaryDirectory(prefix="featx-part-") as scratch:
        local = isinstance(backend, LocalFolder)
        folder = Path(backend.name) / SHARDS_FOLDER if local else Path(scratch)
        shard = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            FORMATS[header.format].write(shard, arrays)
            if local:
                sync_tree(shard)
        except (OSError, RuntimeError) as error:  # h5py says both of a full disk
            raise FeatxError(f"{shard}: cannot write it ({error}); make room, and work goes on") from error
        whole = record_of(record, shard, arrays, videos)
        if not local:
            for file in whole.files:
                backend.put(f"{SHARDS_FOLDER}/{file}", (folder / file).read_bytes())
    return whole
