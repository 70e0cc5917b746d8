"""Writing a store: shards are made whole, one after another, and committed by a record each."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from featx.errors import FeatxError, nearest
from featx.files.atomic import sync_tree, sync_tree_entry, write_atomically
from featx.signals import DeferSignals
from featx.store.backends.local import LocalFolder
from featx.store.formats import FORMATS, chunk_tables, file_digests
from featx.store.index import StoreIndex, read_header, record_bytes, shard_numbers
from featx.store.parts.plan import find_plans
from featx.store.schema import (
    ENDINGS,
    LONGEST_GUESS,
    SCHEMA_VERSION,
    SHARDS_FOLDER,
    Entry,
    Fingerprint,
    ShardArrays,
    ShardRecord,
    StoreHeader,
    VideoFeatures,
    VideoInfo,
    record_path,
    shard_name,
    shard_path,
)
from featx.store.writing.checks import problem_of, with_times_of
from featx.store.writing.header import open_header
from featx.store.writing.leftovers import remove, uncommitted
from featx.store.writing.lock import StoreLock

SHARD_BYTES = 64 * 2**20
FILE_INFO = ("path", "size_bytes", "mtime_ns", "complete", "root", "content_sha256")
COMMIT_SECONDS = 600.0  # at 4 frames/s a shard would take hours to fill; nobody should lose that


@dataclass(frozen=True)
class WaitingVideo:
    """A video that is not committed yet, and the entry that is dropped by the same record."""

    id: str
    video: VideoFeatures
    video_info: VideoInfo
    instead_of: Entry | None = None


class BadVideo(FeatxError):
    """A video's rows are not what a store may hold."""


class StoreWriter:
    """Adds videos to a store, and says what has become of those in it. One process at a time may write into a store; it holds the store's lock.

    Used as a context manager. On a normal exit, and on Ctrl-C, the videos that are whole are committed.

    Attributes:
        header: What ``store.json`` says.
        index: The videos that were in the store when it was opened, with the information about their files.
        done: The ids of all videos in the store; the value says whether the video is complete.
    """

    def __init__(
        self,
        path: Path,
        fingerprint: Fingerprint,
        format: str = "zarr",
        model_source: str = "",
        shard_bytes: int = SHARD_BYTES,
        commit_seconds: float = COMMIT_SECONDS,
        versions: dict[str, str] | None = None,
        schema_version: int = SCHEMA_VERSION,
    ) -> None:
        """Opens a store, or makes it.

        Many arguments, since each command says a few of them: all but the first two have defaults.

        Args:
            path: Its folder.
            fingerprint: What decides the features' values.
            format: ``zarr`` or ``hdf5``.
            model_source: Where the model was found.
            shard_bytes: A shard is committed when so many bytes of features have gathered,
            commit_seconds: or so long after the last.
            versions: Of the libraries that made the features; by default those of this process.
            schema_version: Of a new store: what its times mean. One that exists keeps its own.

        Raises:
            FeatxError: If the store was made with another fingerprint or format, or is being written.
        """
        self.path = path
        self.format = format
        self._shard_bytes = shard_bytes
        self._commit_seconds = commit_seconds
        self._waiting: list[WaitingVideo] = []
        self._waiting_bytes = 0
        self._last_commit = time.monotonic()
        try:
            (path / SHARDS_FOLDER).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FeatxError(f"{path}: cannot make the store ({error.strerror})") from error
        self._lock = StoreLock(path)
        try:
            check_all_parts_are_there(path)
            self.header = open_header(path, fingerprint, format, model_source, versions, schema_version)
            self.clear_uncommitted()
            self.index = StoreIndex(path, self.header, FILE_INFO)
            self.done: dict[str, bool] = dict(
                zip(self.index.ids, self.index.video_info["complete"], strict=True)
            )
            self._moved: dict[str, Entry] = {}  # of ids that this writer has given to entries
            self._remove_emptied()
        except BaseException:
            self._lock.release()
            raise

    @staticmethod
    def of(path: Path) -> StoreWriter:
        """Opens a store that exists, as it is.

        Raises:
            FeatxError: If it is not a store, or is being written.
        """
        header = read_header(path)
        return StoreWriter(path, header.fingerprint, header.format)

    def clear_uncommitted(self) -> None:
        """Removes what a killed run left: a shard without a record does not exist."""
        for entry in list(uncommitted(self.path)):
            remove(entry)

    def add(
        self,
        video_id: str,
        video: VideoFeatures,
        video_info: VideoInfo,
        replaces: bool = False,
        as_stored: bool = False,
    ) -> None:
        """Adds one whole video; commits a shard when enough bytes or enough time have gathered.

        Args:
            video_id: Its id.
            video: Its rows.
            video_info: About its file.
            replaces: What is stored under this id is no longer read from the moment on that this video is there.
            as_stored: Its times mean what they mean in this store, not what they mean in the file.

        Raises:
            BadVideo: If the rows are not what a store may hold, such as numbers that are not finite.
            FeatxError: If the id is in the store already, or the disk is full.
        """
        stored = video_id in self.done
        if stored and not replaces:
            raise FeatxError(f"{self.path}: video '{video_id}' is in the store already")
        if stored and any(each.id == video_id for each in self._waiting):
            self.commit()  # only what is committed can be replaced
        if not as_stored:
            video = with_times_of(self.header, video, video_info)
        problem = problem_of(video, self.header.fingerprint)
        if problem:
            raise BadVideo(f"{self.path}: cannot take video '{video_id}': {problem}")
        with DeferSignals():
            instead_of = self._entry(video_id) if stored else None
            self.done[video_id] = video_info.complete
            self._waiting.append(WaitingVideo(video_id, video, video_info, instead_of))
            self._waiting_bytes += video.features.nbytes
        if self._waiting_bytes >= self._shard_bytes:
            self.commit()
        self.commit_if_due()

    def amend(
        self,
        drops: Iterable[str] = (),
        updates: Mapping[str, dict[str, Any]] | None = None,
        root_moves: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Commits, in one step, what has become of videos in the store.

        Args:
            drops: Ids of videos that are no longer read.
            updates: By a video's id, what is different now: fields of `VideoInfo`, or ``id``.
            root_moves: Folders that have moved as a whole, and where to.

        Raises:
            FeatxError: If a video is not in the store, two would get one id, or the disk is full.
        """
        self.commit()
        dropped = {video_id: self._entry(video_id) for video_id in drops}
        changed = {video_id: (self._entry(video_id), now) for video_id, now in (updates or {}).items()}
        moves = list(root_moves)
        if not dropped and not changed and not moves:
            return
        done = {video_id: complete for video_id, complete in self.done.items() if video_id not in dropped}
        new_ids = {video_id: now.get("id", video_id) for video_id, (_, now) in changed.items()}
        renamed = {new_id: done.pop(video_id) for video_id, new_id in new_ids.items()}
        for video_id, new_id in new_ids.items():
            if new_id in done or len(renamed) < len(new_ids):
                raise FeatxError(f"{self.path}: cannot call video '{video_id}' '{new_id}': there is one")
        number = self._next_number()
        record = ShardRecord(shard_name(number), self.format, self.header.model_dump())
        record.drops, record.updates, record.root_moves = (
            list(dropped.values()),
            list(changed.values()),
            moves,
        )
        with DeferSignals():
            try:
                write_atomically(record_path(self.path, record.name), record_bytes(record))
            except OSError as error:
                raise self._cannot_write(error, "nothing was changed", number) from error
            finally:
                if number in shard_numbers(self.path):
                    self.done = done | renamed
                    self._moved |= {new_ids[video_id]: entry for video_id, (entry, _) in changed.items()}

    def _entry(self, video_id: str) -> Entry:
        """Returns what a record names a video by.

        Raises:
            FeatxError: If the video is not in the store.
        """
        if video_id in self.done:
            if entry := self._moved.get(video_id):
                return entry
            if (number := self.index.number_of.get(video_id)) is not None:
                return self.index.entry(number)
        hint = nearest(video_id, self.done) if len(self.done) <= LONGEST_GUESS else ""
        raise FeatxError(f"{self.path}: no video '{video_id}'{hint}")

    def commit_if_due(self) -> None:
        """Commits what is waiting if the last commit is long ago."""
        if time.monotonic() - self._last_commit >= self._commit_seconds:
            self.commit()

    def commit(self) -> None:
        """Writes the waiting videos as one shard. One step for signals: those that come meanwhile are acted on after.

        Whatever error comes at whatever moment: the videos no longer wait if and only if they are in the store, or the
        store cannot be written, so that they are given up.

        Raises:
            FeatxError: If the store cannot be written.
        """
        with DeferSignals():
            self._last_commit = time.monotonic()
            if not self._waiting:
                return
            number, count = self._next_number(), len(self._waiting)
            try:
                self.clear_uncommitted()  # what an attempt left that failed
                write_shard(self.path, self.header, number, self._waiting)
            except (OSError, RuntimeError) as error:  # h5py says both of a full disk
                if number not in shard_numbers(self.path):
                    self._forget_waiting()
                    with contextlib.suppress(OSError):
                        self.clear_uncommitted()
                raise self._cannot_write(error, f"{count} videos were not stored", number) from error
            finally:
                if number in shard_numbers(self.path):
                    self._moved |= {
                        each.id: Entry(shard_name(number), position, each.id)
                        for position, each in enumerate(self._waiting)
                    }
                    self._waiting, self._waiting_bytes = [], 0

    def _cannot_write(self, error: Exception, lost: str, number: int) -> FeatxError:
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
            return FeatxError(
                f"{self.path}: the disk is full; {lost}. Make room and run the same command again: it goes on from the "
                "last committed shard"
            )
        return FeatxError(f"{self.path}: cannot write {shard_name(number)} ({error})")

    def _forget_waiting(self) -> None:
        for each in self._waiting:
            if each.instead_of is None:
                self.done.pop(each.id, None)
        self._waiting, self._waiting_bytes = [], 0

    def _next_number(self) -> int:
        """Returns the number after the highest. A gap is never filled: a record was lost, of which others may speak."""
        return max(shard_numbers(self.path), default=-1) + 1

    def _remove_emptied(self) -> None:
        """Removes the arrays of shards that were emptied by a compaction that was killed right then."""
        for entry in self.index.shards:
            if not entry.videos:
                for format in ENDINGS:
                    remove(shard_path(self.path, entry.arrays, format))

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.commit()
        finally:
            self._lock.release()


def check_all_parts_are_there(path: Path) -> None:
    """Refuses a store with a plan of which something is to be done: machines may be writing parts of it right now.

    Raises:
        FeatxError: Naming how many parts there are, and the way out.
    """
    plans = find_plans(LocalFolder(path))
    open_parts = plans.open_parts(set(shard_numbers(path)))
    if open_parts:
        raise FeatxError(
            f"{path}: {len(open_parts)} of the {plans.parts} parts of its plan are not done; featx work {path} does them"
        )


def write_shard(store: Path, header: StoreHeader, number: int, waiting: Sequence[WaitingVideo]) -> None:
    """Writes videos as the shard of a number that no other one has.

    Raises:
        OSError: If the disk cannot be written.
        RuntimeError: Likewise, as h5py says it.
    """
    arrays = ShardArrays.join([each.video for each in waiting])
    name = shard_name(number)
    target = shard_path(store, name, header.format)
    partial = target.with_name(target.name + ".partial")
    FORMATS[header.format].write(partial, arrays)
    sync_tree(partial)
    record = record_of(ShardRecord(name, header.format, header.model_dump()), partial, arrays, waiting)
    partial.rename(target)
    sync_tree_entry(target.parent)
    write_atomically(record_path(store, name), record_bytes(record))


def record_of(
    record: ShardRecord, shard: Path, arrays: ShardArrays, videos: Sequence[WaitingVideo]
) -> ShardRecord:
    """Returns a record with what was written for it.

    Args:
        record: Name, format, store, attempt.
        shard: The arrays on disk.
        arrays: The same in memory.
        videos: Whose rows they are.
    """
    infos = [dataclasses.asdict(each.video_info) for each in videos]
    name = f"{record.arrays}{ENDINGS[record.format]}"
    return dataclasses.replace(
        record,
        ids=[each.id for each in videos],
        rows=np.diff(arrays.offsets).tolist(),
        facts={key: [info[key] for info in infos] for key in infos[0]},
        files=file_digests(shard, name),
        chunks=chunk_tables(shard, record.format, arrays),
        drops=[each.instead_of for each in videos if each.instead_of is not None],
    )
