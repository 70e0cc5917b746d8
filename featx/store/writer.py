"""Writing a store: shards are made whole, one after another, and committed by a record each."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import hashlib
import json
import platform
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from featx import __version__
from featx.errors import FeatxError
from featx.files import sync_tree, sync_tree_entry, write_atomically
from featx.store import hdf5_shard, zarr_shard
from featx.store.reader import read_header, read_records
from featx.store.schema import (
    ARRAY_NAMES,
    SHARDS_FOLDER,
    STORE_FILE,
    Fingerprint,
    ShardArrays,
    ShardRecord,
    StoreHeader,
    VideoFacts,
    VideoFeatures,
    record_path,
    shard_path,
)

WRITERS: dict[str, Callable[[Path, ShardArrays], None]] = {"zarr": zarr_shard.write, "hdf5": hdf5_shard.write}
SHARD_BYTES = 64 * 2**20
COMMIT_SECONDS = 600.0  # at 4 frames/s a shard would take hours to fill; nobody should lose that


def checksum(values: np.ndarray) -> str:
    """Returns the sha256 of an array's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


class StoreWriter:
    """Adds videos to a store. One process at a time may write into a store; it holds the store's lock.

    Used as a context manager. On a normal exit, and on Ctrl-C, the videos that are whole are committed.
    """

    def __init__(
        self,
        path: Path,
        fingerprint: Fingerprint,
        format: str = "zarr",
        model_source: str = "",
        shard_bytes: int = SHARD_BYTES,
        commit_seconds: float = COMMIT_SECONDS,
    ) -> None:
        """Opens a store, or makes it.

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
        self._lock = self._take_lock()
        self._check_or_write_header(fingerprint, model_source)
        self._clear_uncommitted()
        self.done: dict[str, VideoFacts] = {}
        for record in read_records(path):
            for index, video_id in enumerate(record.ids):
                self.done[video_id] = VideoFacts(
                    **{key: values[index] for key, values in record.facts.items()}
                )

    def _take_lock(self) -> IO[str]:
        lock = (self.path / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise FeatxError(f"{self.path}: another featx is writing into this store; wait for it") from error
        return lock

    def _check_or_write_header(self, fingerprint: Fingerprint, model_source: str) -> None:
        file = self.path / STORE_FILE
        if not file.exists():
            if any((self.path / SHARDS_FOLDER).glob("*.json")):
                raise FeatxError(
                    f"{self.path}: has shards but no {STORE_FILE}; restore that file or start a new store"
                )
            packages = ("torch", "clip-anytorch", "numpy", "pillow", "zarr", "h5py", "imageio-ffmpeg")
            versions = {name: metadata.version(name) for name in packages}
            header = StoreHeader(
                format=self.format,
                fingerprint=fingerprint,
                model_source=model_source,
                versions={"featx": __version__, "python": platform.python_version(), **versions},
                created=datetime.now(UTC).isoformat(timespec="seconds"),
            )
            write_atomically(file, header.model_dump_json(indent=2).encode() + b"\n")
            return
        header = read_header(self.path)
        differences = fingerprint.differences(header.fingerprint)
        if header.format != self.format:
            differences.append(f"format: {self.format}, not {header.format}")
        if differences:
            raise FeatxError(
                f"{self.path}: was made with other settings ({'; '.join(differences)}); use those, or another --to"
            )

    def _clear_uncommitted(self) -> None:
        """Removes what a killed run left: a shard without a record does not exist."""
        for entry in (self.path / SHARDS_FOLDER).iterdir():
            if entry.suffix == ".json":
                continue
            if entry.suffix == ".partial" or not record_path(self.path, entry.stem).exists():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def add(self, video_id: str, video: VideoFeatures, facts: VideoFacts) -> None:
        """Adds one whole video; commits a shard when enough bytes or enough time have gathered.

        Raises:
            FeatxError: If the id is in the store already, the features are not finite, or the disk is full.
        """
        if video_id in self.done:
            raise FeatxError(f"{self.path}: video '{video_id}' is in the store already")
        if not np.isfinite(video.features).all():
            raise FeatxError(f"{self.path}: features of '{video_id}' are not finite; try --precision fp32")
        self.done[video_id] = facts
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
        name = self._next_name()
        target = shard_path(self.path, name, self.format)
        partial = target.with_name(target.name + ".partial")
        try:
            WRITERS[self.format](partial, arrays)
            sync_tree(partial)
            partial.rename(target)
            sync_tree_entry(target.parent)
            record = ShardRecord(
                name=name,
                format=self.format,
                ids=ids,
                rows=np.diff(arrays.offsets).tolist(),
                facts={key: [fact[key] for fact in facts] for key in facts[0]},
                checksums={array: checksum(getattr(arrays, array)) for array in ARRAY_NAMES},
            )
            write_atomically(record_path(self.path, name), json.dumps(dataclasses.asdict(record)).encode())
        except OSError as error:
            self._forget_waiting()
            self._clear_uncommitted()
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

    def _next_name(self) -> str:
        taken = [int(file.stem.split("-")[1]) for file in (self.path / SHARDS_FOLDER).glob("shard-*.json")]
        return f"shard-{max(taken, default=-1) + 1:05d}"

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.commit()
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._lock.close()
