"""Giving back the room of rows that are no longer read: shards that hold some are written anew without them.

What stays is added once more and the old entries are dropped, in one record; then shards of which nothing is read any
more are emptied. Whenever that is cut off, every video is there once, and the next compaction does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from featx.files.atomic import write_atomically
from featx.store.entries import without_videos
from featx.store.index import StoreIndex, read_records, record_bytes
from featx.store.reader import FeatureStore
from featx.store.schema import ENDINGS, record_path, shard_path
from featx.store.writing.leftovers import remove
from featx.store.writing.writer import StoreWriter


@dataclass(frozen=True)
class Compacted:
    """What a compaction did: shards that were emptied, videos that were copied, bytes that were given back."""

    shards: int
    videos: int
    bytes_freed: int


def compact(path: Path) -> Compacted:
    """Gives back the room of rows that are no longer read; no bit of the others changes.

    Raises:
        FeatxError: If it is not a store, is being written, is damaged, or the disk is full.
    """
    with StoreWriter.of(path) as writer:
        before = _bytes_of(writer.index)
        store = FeatureStore(path)
        videos = 0
        for video_id, video, video_info in store.videos(store.index.dropped.nonzero()[0].tolist()):
            writer.add(video_id, video, video_info, replaces=True, as_stored=True)
            videos += 1
        writer.commit()
        shards = _empty_dead_shards(writer)
        return Compacted(shards, videos, before - _bytes_of(StoreIndex(path, writer.header)))


def _empty_dead_shards(writer: StoreWriter) -> int:
    """Puts empty records in the place of shards of which nothing is read; returns how many those are."""
    index = StoreIndex(writer.path, writer.header)
    dropped = index.dropped.tolist()
    videos = {shard.name: shard.videos - gone for shard, gone in zip(index.shards, dropped, strict=True)}
    emptied = 0
    # Ascending: what a record said of a shard may only be forgotten once that shard is empty, and that one is older.
    for record in read_records(writer.path, writer.header):
        if videos[record.name]:
            continue
        empty = without_videos(record, {name for name, count in videos.items() if count})
        if record.ids or empty != record:
            write_atomically(record_path(writer.path, record.name), record_bytes(empty))
        if record.ids:
            emptied += 1
            for format in ENDINGS:
                remove(shard_path(writer.path, record.arrays, format))
    return emptied


def _bytes_of(index: StoreIndex) -> int:
    return sum(size for shard in index.shards for size in shard.size_of.values())
