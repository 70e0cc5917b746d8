"""Writing a store: shards are made whole, one after another, and committed by a record each."""

from __future__ import annotations

import dataclasses
import errno
import platform
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType

import numpy as np

from featx import __version__
from featx.errors import FeatxError
from featx.files import sync_tree, sync_tree_entry, write_atomically
from featx.store.checks import problem_of
from featx.store.formats import FORMATS, chunk_tables, file_digests
from featx.store.index import header_bytes, read_header, read_records, record_bytes, shard_numbers
from featx.store.lock import StoreLock
from featx.store.schema import (
    ENDINGS,
    SHARD_NAME,
    SHARDS_FOLDER,
    STORE_FILE,
    Fingerprint,
    ShardArrays,
    ShardRecord,
    StoreHeader,
    VideoFacts,
    VideoFeatures,
    record_path,
    shard_name,
    shard_path,
)

SHARD_BYTES = 64 * 2**20
COMMIT_SECONDS = 600.0  # at 4 frames/s a shard would take hours to fill; nobody should lose that


class BadVideo(FeatxError):
    """A video's rows are not what a store may hold."""


class StoreWriter:
    """Adds videos to a store. One process at a time may write into a store; it holds the store's lock.

    Used as a context manager. On a normal exit, and on Ctrl-C, the videos that are whole are committed.

    Attributes:
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
    ) -> None:
        """Opens a store, or makes it.

        Args:
            path: Its folder.
            fingerprint: What decides the features' values.
            format: ``zarr`` or ``hdf5``.
            model_source: Where the model was found.
            shard_bytes: A shard is committed when so many bytes of features have gathered,
            commit_seconds: or so long after the last.
            versions: Of the libraries that made the features; by default those of this process.

        Raises:
            FeatxError: If the store was made with another fingerprint or format, or is being written.
        """
        self.path = path
        self.format = format
        self._shard_bytes = shard_bytes
        self._commit_seconds = commit_seconds
        self._waiting: list[tuple[str, VideoFeatures, VideoFacts]] = []
        self._waiting_bytes = 0
        self._last_commit = time.monotonic()
        try:
            (path / SHARDS_FOLDER).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FeatxError(f"{path}: cannot make the store ({error.strerror})") from error
        self._lock = StoreLock(path)
        try:
            self._header = self._check_or_write_header(fingerprint, model_source, versions)
            self.clear_uncommitted()
            self.done: dict[str, bool] = {}
            for record in read_records(path, self._header):
                self.done.update(zip(record.ids, record.facts.get("complete", []), strict=True))
        except BaseException:
            self._lock.release()
            raise

    def _check_or_write_header(
        self, fingerprint: Fingerprint, model_source: str, versions: dict[str, str] | None
    ) -> StoreHeader:
        file = self.path / STORE_FILE
        if not file.exists() and next(shard_numbers(self.path), None) is None:
            header = StoreHeader(
                format=self.format,
                fingerprint=fingerprint,
                model_source=model_source,
                versions=versions or own_versions(),
                created=datetime.now(UTC).isoformat(timespec="microseconds"),
            )
            write_atomically(file, header_bytes(header))
            return header
        header = read_header(self.path)
        differences = fingerprint.differences(header.fingerprint)
        if header.format != self.format:
            differences.append(f"format: {self.format}, not {header.format}")
        if differences:
            raise FeatxError(
                f"{self.path}: was made with other settings ({'; '.join(differences)}); use those, or another --to"
            )
        return header

    def clear_uncommitted(self) -> None:
        """Removes what a killed run left: a shard without a record does not exist."""
        for entry in uncommitted(self.path):
            remove(entry)

    def add(self, video_id: str, video: VideoFeatures, facts: VideoFacts) -> None:
        """Adds one whole video; commits a shard when enough bytes or enough time have gathered.

        Raises:
            BadVideo: If the rows are not what a store may hold, such as numbers that are not finite.
            FeatxError: If the id is in the store already, or the disk is full.
        """
        if video_id in self.done:
            raise FeatxError(f"{self.path}: video '{video_id}' is in the store already")
        if self._header.featx_store == 1 and facts.start_s is not None:
            # Times of all rows of a store mean the same; `start_s` says what the file's own would be.
            video = dataclasses.replace(video, pts=video.pts - facts.start_s)
        problem = problem_of(video, self._header.fingerprint)
        if problem:
            raise BadVideo(f"{self.path}: cannot take video '{video_id}': {problem}")
        self.done[video_id] = facts.complete
        self._waiting.append((video_id, video, facts))
        self._waiting_bytes += video.features.nbytes
        if self._waiting_bytes >= self._shard_bytes:
            self.commit()
        self.commit_if_due()

    def commit_if_due(self) -> None:
        """Commits what is waiting if the last commit is long ago."""
        if time.monotonic() - self._last_commit >= self._commit_seconds:
            self.commit()

    def commit(self) -> None:
        """Writes the waiting videos as one shard: arrays, flush, rename, record."""
        self._last_commit = time.monotonic()
        if not self._waiting:
            return
        ids = [video_id for video_id, _, _ in self._waiting]
        arrays = ShardArrays.join([video for _, video, _ in self._waiting])
        facts = [dataclasses.asdict(fact) for _, _, fact in self._waiting]
        number = self._next_number()
        name = shard_name(number)
        target = shard_path(self.path, name, self.format)
        partial = target.with_name(target.name + ".partial")
        try:
            FORMATS[self.format].write(partial, arrays)
            sync_tree(partial)
            record = ShardRecord(
                name=name,
                format=self.format,
                store=self._header.model_dump(),
                ids=ids,
                rows=np.diff(arrays.offsets).tolist(),
                facts={key: [fact[key] for fact in facts] for key in facts[0]},
                files=file_digests(partial, target.name),
                chunks=chunk_tables(partial, self.format, arrays),
            )
            partial.rename(target)
            sync_tree_entry(target.parent)
            write_atomically(record_path(self.path, name), record_bytes(record))
        except OSError as error:
            self._forget_waiting()
            self.clear_uncommitted()
            if error.errno == errno.ENOSPC or "No space left" in str(error):
                raise FeatxError(
                    f"{self.path}: the disk is full; {len(ids)} videos were not stored. Make room and run the same "
                    "command again: it goes on from the last committed shard"
                ) from error
            raise FeatxError(f"{self.path}: cannot write shard {name} ({error})") from error
        self._waiting, self._waiting_bytes = [], 0

    def _forget_waiting(self) -> None:
        for video_id, _, _ in self._waiting:
            self.done.pop(video_id, None)
        self._waiting, self._waiting_bytes = [], 0

    def _next_number(self) -> int:
        """Returns the lowest free number: numbers without a gap show that no record was lost."""
        taken = set(shard_numbers(self.path))
        return next(number for number in range(len(taken) + 1) if number not in taken)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.commit()
        finally:
            self._lock.release()


def own_versions() -> dict[str, str]:
    """Returns the versions of featx, Python and the libraries that features depend on."""
    packages = ("torch", "clip-anytorch", "numpy", "pillow", "zarr", "h5py", "imageio-ffmpeg")
    versions = {name: metadata.version(name) for name in packages}
    return {"featx": __version__, "python": platform.python_version(), **versions}


def uncommitted(path: Path) -> Iterator[Path]:
    """Yields what lies in a store's shards without a record, and halves of files; nothing that is not a store's."""
    for entry in sorted((path / SHARDS_FOLDER).iterdir()):
        name = entry.name.split(".")[0]
        if not SHARD_NAME.fullmatch(name):
            continue
        is_arrays = entry.suffix in ENDINGS.values() and not record_path(path, name).exists()
        if entry.suffix == ".partial" or is_arrays:
            yield entry


def remove(entry: Path) -> None:
    """Removes a file, or a folder with all that is in it."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
