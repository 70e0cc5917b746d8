"""Reading a store: whole videos, many of them, or windows of rows."""

from __future__ import annotations

import resource
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from featx.errors import FeatxError, nearest
from featx.store.backends.open import open_backend
from featx.store.checked_rows import Budget, CheckedRows
from featx.store.index import read_header
from featx.store.mirror import local_folder, url_of
from featx.store.remote_rows import CACHE_BYTES, ChunkCache, RemoteRows
from featx.store.schema import (
    ARRAY_NAMES,
    CHUNK_ROWS,
    LONGEST_GUESS,
    ShardArrays,
    VideoFeatures,
    VideoInfo,
    array_layout,
)
from featx.store.snapshot import open_index, record_here

# Each open shard takes two file handles; the usual limit of a process is 1024.
OPEN_SHARDS = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4, 8)


@dataclass(frozen=True)
class PackedVideos:
    """Many videos in memory: all rows (N, D) one after another, ``offsets`` (V + 1,) between the videos."""

    features: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class Stretch:
    """Consecutive videos of one shard: N rows in the order of the disk.

    Attributes:
        shard: Index into the store's shards.
        first_row: Row of the shard at which it begins.
        ids: V video ids.
        offsets: (V + 1,) int64, the videos' rows, from 0 to N.
    """

    shard: int
    first_row: int
    ids: list[str]
    offsets: np.ndarray

    def __len__(self) -> int:
        return int(self.offsets[-1])


class FeatureStore:
    """A store opened for reading; it sees the shards that were committed when it was opened.

    Every chunk of 256 rows is checked against its checksum before the first of its rows is handed out. A store may
    be used by several threads, by forked workers, and pickled.
    """

    def __init__(self, path: Path, memory_budget_bytes: int = 0) -> None:
        """Reads the index, not the features.

        Args:
            path: The store's folder, or its URL (as a path, it has one slash after the colon).
            memory_budget_bytes: Rows that have been read once stay in memory up to this size. The others are read
                through memory maps, so from the disk cache that all processes share.

        Raises:
            FeatxError: If it is not a store, or its index is damaged.
        """
        self.path = local_folder(path, all_records=False)
        self.url = url_of(path)
        self.header = read_header(self.path)
        self.index = open_index(self.path, self.header, self.url)
        self._memory_budget_bytes = memory_budget_bytes
        self._forget()

    def _forget(self) -> None:
        self._budget = Budget(self._memory_budget_bytes)
        self._features: dict[int, CheckedRows] = {}
        self._recent: OrderedDict[int, None] = OrderedDict()  # shards that may hold file handles
        self._backend = open_backend(self.url) if self.url is not None else None
        self._cache = ChunkCache(self._memory_budget_bytes or CACHE_BYTES)

    def __fspath__(self) -> str:
        """Returns the folder or the URL: an open store can stand where a path of one is asked for."""
        return self.url or str(self.path)

    def __len__(self) -> int:
        return len(self.index.ids)

    def __contains__(self, video_id: object) -> bool:
        return video_id in self.index.number_of

    def __iter__(self) -> Iterator[str]:
        return iter(self.index.ids)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all videos, in the store's order; ``len`` and ``in`` are quick without them."""
        return tuple(self)

    def __getstate__(self) -> dict[str, Any]:
        return {key: self.__dict__[key] for key in ("path", "url", "header", "index", "_memory_budget_bytes")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def rows(self, video_id: str) -> int:
        """Returns how many rows a video has, without reading them."""
        return int(self.index.rows[self._numbers([video_id])[0]])

    def __getitem__(self, video_id: str) -> VideoFeatures:
        """Reads one video.

        Raises:
            FeatxError: If the video is not in the store or its rows are damaged.
        """
        shard, first, rows = self._place(video_id)
        features = self._features_of(shard).read(first, rows)
        return VideoFeatures(features, self._read("pts", video_id), self._read("frame_index", video_id))

    def pts(self, video_id: str) -> np.ndarray:
        """Reads (N,) when each row of a video is shown, in seconds; NaN where the store does not know.

        Raises:
            FeatxError: If the video is not in the store or its rows are damaged.
        """
        return self._read("pts", video_id)

    def load(self, ids: Sequence[str]) -> PackedVideos:
        """Reads many whole videos, in the order of ``ids``.

        Raises:
            FeatxError: If a video is not in the store or its rows are damaged.
        """
        numbers = self._numbers(ids)
        return self._gather(numbers, self.index.first_row[numbers], self.index.rows[numbers])

    def read_windows(
        self,
        ids: Sequence[str],
        starts: np.ndarray | Sequence[int] | int,
        lengths: np.ndarray | Sequence[int] | int,
    ) -> PackedVideos:
        """Reads windows of consecutive rows, one of each of ``ids`` (which may repeat).

        Args:
            ids: V video ids.
            starts: (V,) first row of each window within its video, or one number for all.
            lengths: (V,) rows of each window, or one number for all.

        Returns:
            The windows' rows one after another, and the offsets (V + 1,) between them.

        Raises:
            FeatxError: If a video is not in the store, a window leaves its video, or its rows are damaged.
        """
        numbers = self._numbers(ids)
        begins = np.broadcast_to(np.asarray(starts, dtype=np.int64), numbers.shape)
        counts = np.broadcast_to(np.asarray(lengths, dtype=np.int64), numbers.shape)
        rows = self.index.rows[numbers]
        bad = (begins < 0) | (counts < 0) | (begins + counts > rows)
        if bad.any():
            first = int(bad.argmax())
            raise FeatxError(
                f"{self.path}: window of {counts[first]} rows from row {begins[first]} of video '{ids[first]}', which "
                f"has {rows[first]} rows"
            )
        return self._gather(numbers, self.index.first_row[numbers] + begins, counts)

    def videos(self, shards: Iterable[int] | None = None) -> Iterator[tuple[str, VideoFeatures, VideoInfo]]:
        """Reads all videos in the order of the disk, one shard in memory at a time.

        Args:
            shards: Only those of these shards.

        Raises:
            FeatxError: If a shard is damaged.
        """
        index = self.index
        ends = np.searchsorted(index.shard_of, np.arange(len(index.shards)), side="right")
        for shard in range(len(index.shards)) if shards is None else shards:
            first, past = ends[shard - 1] if shard else 0, ends[shard]
            if first == past:
                continue
            record = record_here(self.path, index.shards[shard].name, self.url)
            arrays = self._read_shard(shard)
            for number in range(first, past):
                position = int(index.position[number])
                video_info = index.live.info_now(number, VideoInfo.from_columns(record.facts, position))
                yield index.ids[number], arrays.video(position), video_info

    def stretches(self, ids: Sequence[str] | None = None) -> list[Stretch]:
        """Returns where rows lie: a stretch for each shard, or more where videos were dropped, or one for each of some.

        Raises:
            FeatxError: If a video is not in the store.
        """
        index = self.index
        if ids is not None:
            numbers = self._numbers(ids)
            places = zip(ids, numbers.tolist(), strict=True)
            return [
                Stretch(
                    int(index.shard_of[number]),
                    int(index.first_row[number]),
                    [video_id],
                    np.array([0, index.rows[number]]),
                )
                for video_id, number in places
            ]
        past_rows = index.first_row + index.rows
        # Where a video was dropped, the rows before and behind it are two stretches.
        goes_on = (index.shard_of[1:] == index.shard_of[:-1]) & (index.first_row[1:] == past_rows[:-1])
        begins = np.flatnonzero(np.append(True, ~goes_on)).tolist() if len(self) else []
        return [
            Stretch(
                int(index.shard_of[first]),
                int(index.first_row[first]),
                list(index.ids[first:past]),
                np.append(index.first_row[first:past], past_rows[past - 1]) - index.first_row[first],
            )
            for first, past in pairwise([*begins, len(self)])
        ]

    def blocks(self, stretch: Stretch) -> Iterator[np.ndarray]:
        """Yields a stretch's features in order, at most 256 rows at once: read-only, not copied.

        Raises:
            FeatxError: If they are damaged.
        """
        return self._features_of(stretch.shard).blocks(stretch.first_row, len(stretch))

    def pts_of(self, stretch: Stretch) -> np.ndarray:
        """Reads (N,) when each row of a stretch is shown, as `pts`."""
        return self._open(stretch.shard, "pts").read(stretch.first_row, len(stretch))

    def video_info(self, ids: Sequence[str]) -> dict[str, VideoInfo]:
        """Reads what is known of some videos' files.

        Raises:
            FeatxError: If a video is not in the store, or its record is damaged.
        """
        index = self.index
        wanted: dict[int, list[int]] = {}
        for number in self._numbers(ids).tolist():
            wanted.setdefault(int(index.shard_of[number]), []).append(number)
        found = {}
        for shard, numbers in wanted.items():
            record = record_here(self.path, index.shards[shard].name, self.url)
            for number in numbers:
                recorded = VideoInfo.from_columns(record.facts, int(index.position[number]))
                found[index.ids[number]] = index.live.info_now(number, recorded)
        return found

    def _place(self, video_id: str) -> tuple[int, int, int]:
        """Returns the number of a video's shard, its first row there, and how many it has."""
        number = self._numbers([video_id])[0]
        index = self.index
        return int(index.shard_of[number]), int(index.first_row[number]), int(index.rows[number])

    def _read(self, name: str, video_id: str) -> np.ndarray:
        shard, first, rows = self._place(video_id)
        return self._open(shard, name).read(first, rows)

    def _open(self, shard: int, array: str, budget: Budget | None = None) -> CheckedRows:
        """Returns the rows of one array of a shard, from the folder or from the URL."""
        entry, fingerprint = self.index.shards[shard], self.header.fingerprint
        if self._backend is None:
            return entry.open(self.path, fingerprint, array, budget)
        lies = entry.lies(self.path, fingerprint, array)
        return RemoteRows(lies, lies.file.relative_to(self.path).as_posix(), self._backend, self._cache)

    def _read_shard(self, shard: int) -> ShardArrays:
        entry = self.index.shards[shard]
        rows = {"offsets": entry.videos + 1}
        return ShardArrays(
            **{name: self._open(shard, name).read(0, rows.get(name, entry.rows)) for name in ARRAY_NAMES}
        )

    def _fetch(self, shards: np.ndarray, first_rows: np.ndarray, counts: np.ndarray) -> None:
        """Fetches the chunks of windows of a store at a URL, all of a shard together."""
        wanted: dict[int, set[int]] = {}
        for shard, first, count in zip(shards.tolist(), first_rows.tolist(), counts.tolist(), strict=True):
            wanted.setdefault(shard, set()).update(
                range(first // CHUNK_ROWS, -(-(first + count) // CHUNK_ROWS))
            )
        for shard, chunks in wanted.items():
            rows = self._features_of(shard)
            assert isinstance(rows, RemoteRows)
            rows.fetch(chunks)

    def _gather(self, numbers: np.ndarray, first_rows: np.ndarray, counts: np.ndarray) -> PackedVideos:
        """Copies ``counts`` (V,) rows from ``first_rows`` (V,) of the videos' shards on, in the order of the disk."""
        offsets = np.zeros(len(numbers) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        dtype, row_shape = array_layout(self.header.fingerprint)["features"]
        features = np.empty((int(offsets[-1]), *row_shape), dtype)
        shards = self.index.shard_of[numbers]
        if self._backend is not None:
            self._fetch(shards, first_rows, counts)
        order = np.lexsort((first_rows, shards))
        chunks, rows_before = np.divmod(first_rows, CHUNK_ROWS)
        columns = (shards, chunks, rows_before, first_rows, offsets[:-1], offsets[1:])
        current, rows = -1, None
        for shard, index, row, first, begin, end in zip(*(c[order].tolist() for c in columns), strict=True):
            if rows is None or shard != current:
                current, rows = shard, self._features_of(shard)
            last = row + end - begin
            if begin < end and last <= CHUNK_ROWS and (chunk := rows.chunks[index]) is not None:
                features[begin:end] = chunk[row:last]  # nearly every window; a call would double its cost
            else:
                rows.copy_to(features[begin:end], first)
        return PackedVideos(features, offsets)

    def _features_of(self, shard: int) -> CheckedRows:
        rows = self._features.get(shard)
        if rows is None:
            rows = self._features[shard] = self._open(shard, "features", self._budget)
        self._recent.pop(shard, None)
        self._recent[shard] = None
        if len(self._recent) > OPEN_SHARDS:
            oldest, _ = self._recent.popitem(last=False)
            self._features[oldest].close()
        return rows

    def _numbers(self, ids: Sequence[str]) -> np.ndarray:
        """Returns (V,) numbers of videos.

        Raises:
            FeatxError: If a video is not in the store.
        """
        number_of = self.index.number_of
        try:
            return np.fromiter((number_of[video_id] for video_id in ids), np.int64, len(ids))
        except KeyError as error:
            (video_id,) = error.args
            hint = nearest(video_id, number_of) if len(number_of) <= LONGEST_GUESS else ""
            raise FeatxError(f"{self.path}: no video '{video_id}'{hint}") from None
