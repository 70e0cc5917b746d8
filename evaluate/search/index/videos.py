"""Which videos a search index has, told by where their rows lie: that never changes, while ids may.

Everything here asks the open store for its live videos (`FeatureStore.index`, `FeatureStore.stretches`), so a video
that has left the store, or whose shard was written anew, has no number any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from featx.errors import FeatxError
from featx.files.checksummed_json import checksum_in
from featx.store.reader import FeatureStore, Stretch
from featx.store.schema import record_path

GONE = -1  # number of a video that is no longer in the store


@dataclass(frozen=True)
class IndexedVideos:
    """V videos by where their rows lie.

    Attributes:
        shard: (V,) int64, which of the index's shards.
        first_row: (V,) int64, row of the shard at which the video begins.
        rows: (V,) int64, how many it has.
    """

    shard: np.ndarray
    first_row: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def choose(self, chosen: np.ndarray) -> IndexedVideos:
        """Returns some of them, by their numbers or by (V,) truth values."""
        return IndexedVideos(self.shard[chosen], self.first_row[chosen], self.rows[chosen])


def join(parts: Iterable[IndexedVideos]) -> IndexedVideos:
    """Puts videos one after another."""
    columns = zip(*((part.shard, part.first_row, part.rows) for part in parts), strict=True)
    return IndexedVideos(*(np.concatenate(column) for column in columns))


def shards_now(store: FeatureStore) -> dict[str, str]:
    """Returns the name of each shard that has videos, and the checksum of its record: of all that is in it.

    Raises:
        FeatxError: If a record has gone since the store was opened.
    """
    found = {}
    for shard in np.unique(store.index.shard_of).tolist():
        file = record_path(store.path, store.index.shards[shard].name)
        try:
            found[file.stem] = checksum_in(file)
        except OSError as error:
            raise FeatxError(
                f"{file}: cannot be read ({error.strerror}); if the store is being compacted, search again after that"
            ) from error
    return found


def numbers_now(
    videos: IndexedVideos, shards: dict[str, str], store: FeatureStore, now: dict[str, str]
) -> np.ndarray:
    """Returns (V,) int64 the number that each video has in the open store, `GONE` for those that have left it.

    Args:
        videos: What the index has.
        shards: The shards that they are in, with the checksums that their records had.
        store: The store.
        now: Its shards, as `shards_now`.
    """
    index = store.index
    position = {entry.name: shard for shard, entry in enumerate(index.shards)}
    shard_now = np.array(
        [position[name] if now.get(name) == checksum else GONE for name, checksum in shards.items()] or [GONE]
    )
    rows_bound = int(max(index.first_row.max(initial=0), videos.first_row.max(initial=0))) + 1
    known = index.shard_of * rows_bound + index.first_row  # where a video begins, as one number
    order = np.argsort(known)
    wanted = shard_now[videos.shard] * rows_bound + videos.first_row
    place = np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)
    number = order[place]
    same = (known[number] == wanted) & (index.rows[number] == videos.rows) & (shard_now[videos.shard] >= 0)
    return np.where(same, number, GONE)


def stretches_without(store: FeatureStore, indexed: np.ndarray) -> list[Stretch]:
    """Returns where the rows of those videos lie that an index does not have.

    Args:
        store: The store.
        indexed: Numbers of the videos that it has, in any order; `GONE` is left out.
    """
    is_new = np.ones(len(store), bool)
    is_new[indexed[indexed >= 0]] = False
    found: list[Stretch] = []
    first = 0
    for stretch in store.stretches():
        past = first + len(stretch.ids)
        found += _cut(stretch, is_new[first:past])
        first = past
    return found


def _cut(stretch: Stretch, chosen: np.ndarray) -> Iterator[Stretch]:
    """Yields the runs of consecutive videos of a stretch that are chosen."""
    borders = np.flatnonzero(np.diff(chosen)) + 1
    for begin, end in pairwise([0, *borders.tolist(), len(chosen)]):
        if chosen[begin]:
            offsets = stretch.offsets[begin : end + 1]
            yield Stretch(
                stretch.shard,
                stretch.first_row + int(offsets[0]),
                stretch.ids[begin:end],
                offsets - offsets[0],
            )


def videos_of(stretches: Iterable[Stretch], store: FeatureStore, shards: dict[str, str]) -> IndexedVideos:
    """Returns the videos of stretches, their shards as numbers of ``shards``."""
    number_of = {name: number for number, name in enumerate(shards)}
    return join(
        IndexedVideos(
            np.full(len(stretch.ids), number_of[store.index.shards[stretch.shard].name]),
            stretch.first_row + stretch.offsets[:-1],
            np.diff(stretch.offsets),
        )
        for stretch in stretches
    )
