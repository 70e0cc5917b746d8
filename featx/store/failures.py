"""The list of videos that failed, kept beside the features and shortened when a later run succeeds.

In a store with a plan, failures stand in the records of its parts at first. The first command that changes such a store
in its folder takes them over into the list, which says up to which record that was done.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Container, Iterable, Iterator, KeysView, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.files.atomic import write_atomically
from featx.signals import DeferSignals
from featx.store.schema import FAILURES_FILE
from featx.store.source_files import FileState, state_of

RECORDS_TAKEN = "records_taken"  # a line of the list: records below this number were taken over


@dataclass(frozen=True)
class Failure:
    """Why a video has no features, or not all.

    Attributes:
        id: The video's.
        path: Its file; below ``root`` if that is known.
        stage: What was done with it then.
        error: What was said.
        outcome: What became of its good frames.
        stderr: The last lines of ffmpeg.
        attempts: How often it was tried.
        root: Absolute path of the folder that was extracted.
        size_bytes: Of the file; None if there was none, or if nobody knows.
        mtime_ns: When the file was last changed; likewise.
        accepted: Whether it is known to be bad, and so not tried again while its file stays as it is.
        tried_with: The options and the ffmpeg on which it depends what is kept of a damaged video.
    """

    id: str
    path: str
    stage: str
    error: str
    outcome: str
    stderr: list[str]
    attempts: int = 1
    root: str | None = None
    size_bytes: int | None = None
    mtime_ns: int | None = None
    accepted: bool = False
    tried_with: dict[str, Any] | None = None

    @property
    def state(self) -> FileState | None:
        """Of its file when it failed."""
        if self.size_bytes is None or self.mtime_ns is None:
            return None
        return FileState(self.size_bytes, self.mtime_ns)


class FailureList:
    """The failures of a store, by id. New ones are appended and flushed; the last line of an id counts.

    A last line without a line feed is what a crash or a full disk left of a failure: it does not count.
    """

    def __init__(
        self, store: Path, of_records: Mapping[str, tuple[int, dict[str, Any]]] | None = None
    ) -> None:
        """Reads what is there.

        Args:
            store: Its folder.
            of_records: Failures that stand in the records of parts, see `StoreIndex.failures`.

        Raises:
            FeatxError: If it is not a list of failures.
        """
        self.file = store / FAILURES_FILE
        self._by_id: dict[str, Failure] = {}
        self._whole_bytes = 0
        self._records_taken = 0
        try:
            content = self.file.read_bytes() if self.file.exists() else b""
        except OSError as error:
            raise FeatxError(f"{self.file}: cannot be read ({error.strerror})") from error
        self._whole_bytes = content.rfind(b"\n") + 1
        for number, line in enumerate(content[: self._whole_bytes].split(b"\n"), start=1):
            if line:
                try:
                    stated = json.loads(line)
                    if RECORDS_TAKEN in stated:
                        self._records_taken = int(stated[RECORDS_TAKEN])
                        continue
                    failure = Failure(**stated)
                    self._by_id[failure.id] = failure
                except (ValueError, TypeError) as error:
                    raise FeatxError(
                        f"{self.file}:{number}: not a failure ({error}); delete the file"
                    ) from error
        new = {
            video_id: (part, stated)
            for video_id, (part, stated) in (of_records or {}).items()
            if part >= self._records_taken
        }
        self._by_id |= {video_id: Failure(**stated) for video_id, (_, stated) in new.items()}
        self._records_taken = max([self._records_taken, *(part + 1 for part, _ in new.values())])

    @property
    def ids(self) -> KeysView[str]:
        """The videos that failed."""
        return self._by_id.keys()

    @property
    def accepted(self) -> list[str]:
        """Those of them that are known to be bad."""
        return [failure.id for failure in self._by_id.values() if failure.accepted]

    def __getitem__(self, video_id: str) -> Failure:
        return self._by_id[video_id]

    def get(self, video_id: str) -> Failure | None:
        """Returns a video's failure, if there is one."""
        return self._by_id.get(video_id)

    def is_accepted(self, video_id: str, state: FileState | None) -> bool:
        """Tells whether a video is known to be bad, if its file is in this state."""
        failure = self._by_id.get(video_id)
        return failure is not None and failure.accepted and failure.state == state

    def accept(self, ids: Iterable[str], accepted: bool) -> None:
        """Notes that videos are known to be bad, or that they no longer are.

        Raises:
            FeatxError: If the list cannot be written.
        """
        for video_id in ids:
            failure = self._by_id[video_id]
            if failure.root is None and failure.state is None and (state := state_of(Path(failure.path))):
                failure = replace(failure, size_bytes=state.size_bytes, mtime_ns=state.mtime_ns)
            self._by_id[video_id] = replace(failure, accepted=accepted)
        self.tidy(())

    def take(self, other: FailureList) -> None:
        """Takes over the failures of another store; `tidy` writes them."""
        self._by_id |= other._by_id

    def forget(self, ids: Container[str]) -> None:
        """Strikes off videos; `tidy` writes that."""
        self._by_id = {key: value for key, value in self._by_id.items() if key not in ids}

    def record(self, failure: Failure) -> None:
        """Adds a failure, counting earlier attempts at the same video."""
        earlier = self._by_id.get(failure.id)
        failure = replace(failure, attempts=failure.attempts + (earlier.attempts if earlier else 0))
        self._by_id[failure.id] = failure
        with DeferSignals(), self._errors_named(), self.file.open("ab") as file:
            file.truncate(self._whole_bytes)
            file.write(_line(failure))
            file.flush()
            os.fsync(file.fileno())
            self._whole_bytes = file.tell()

    def tidy(self, complete: Container[str]) -> None:
        """Writes one line a video that still fails.

        Args:
            complete: Ids of videos that are whole in the store now, or that are gone.
        """
        self.forget(complete)
        taken = [_as_line({RECORDS_TAKEN: self._records_taken})] if self._records_taken else []
        content = b"".join([*taken, *map(_line, self._by_id.values())])
        with self._errors_named():
            write_atomically(self.file, content)
        self._whole_bytes = len(content)

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FeatxError(
                f"{self.file}: cannot be written ({error.strerror}); what failed is tried again by the same command"
            ) from error


def _line(failure: Failure) -> bytes:
    content = {
        name: value for name, value in asdict(failure).items() if value is not None and value is not False
    }
    return _as_line(content)


def _as_line(content: dict[str, Any]) -> bytes:
    return (json.dumps(content) + "\n").encode()  # ASCII only: a path need not be UTF-8
