"""Writing one shard: arrays under another name, flushed, renamed, then committed by its record."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.files.atomic import sync_tree, sync_tree_entry, write_atomically
from featx.store.formats import FORMATS, chunk_tables, file_digests
from featx.store.index import record_bytes
from featx.store.schema import (
    Entry,
    ShardArrays,
    ShardRecord,
    StoreHeader,
    VideoFeatures,
    VideoInfo,
    record_path,
    shard_name,
    shard_path,
)


@dataclass(frozen=True)
class WaitingVideo:
    """A video that is not committed yet, and the entry that is dropped by the same record."""

    id: str
    video: VideoFeatures
    video_info: VideoInfo
    instead_of: Entry | None = None


def write_shard(store: Path, header: StoreHeader, number: int, waiting: Sequence[WaitingVideo]) -> None:
    """Writes videos as the shard of a number that no other one has.

    Raises:
        OSError: If the disk cannot be written.
        RuntimeError: Likewise, as h5py says it.
    """
    arrays = ShardArrays.join([each.video for each in waiting])
    infos = [dataclasses.asdict(each.video_info) for each in waiting]
    name = shard_name(number)
    target = shard_path(store, name, header.format)
    partial = target.with_name(target.name + ".partial")
    FORMATS[header.format].write(partial, arrays)
    sync_tree(partial)
    record = ShardRecord(
        name=name,
        format=header.format,
        store=header.model_dump(),
        ids=[each.id for each in waiting],
        rows=np.diff(arrays.offsets).tolist(),
        facts={key: [info[key] for info in infos] for key in infos[0]},
        files=file_digests(partial, target.name),
        chunks=chunk_tables(partial, header.format, arrays),
        drops=[each.instead_of for each in waiting if each.instead_of is not None],
    )
    partial.rename(target)
    sync_tree_entry(target.parent)
    write_atomically(record_path(store, name), record_bytes(record))
