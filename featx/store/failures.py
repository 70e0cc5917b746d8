"""The list of videos that failed, kept beside the features and shortened when a later run succeeds."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Container, Iterator, KeysView
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from featx.errors import FeatxError
from featx.files import write_atomically
from featx.signals import DeferSignals
from featx.store.schema import FAILURES_FILE


@dataclass(frozen=True)
class Failure:
    """Why a video has no features, or not all: at which stage, what was said, what became of its good frames."""

    id: str
    path: str
    stage: str
    error: str
    outcome: str
    stderr: list[str]
    attempts: int = 1


class FailureList:
    """The failures of a store, by id. New ones are appended and flushed; the last line of an id counts.

    A last line without a line feed is what a crash or a full disk left of a failure: it does not count.
    """

    def __init__(self, store: Path) -> None:
        """Reads what is there.

        Raises:
            FeatxError: If it is not a list of failures.
        """
        self.file = store / FAILURES_FILE
        self._by_id: dict[str, Failure] = {}
        self._whole_bytes = 0
        try:
            content = self.file.read_bytes() if self.file.exists() else b""
        except OSError as error:
            raise FeatxError(f"{self.file}: cannot be read ({error.strerror})") from error
        self._whole_bytes = content.rfind(b"\n") + 1
        for number, line in enumerate(content[: self._whole_bytes].split(b"\n"), start=1):
            if line:
                try:
                    failure = Failure(**json.loads(line))
                    self._by_id[failure.id] = failure
                except (ValueError, TypeError) as error:
                    raise FeatxError(
                        f"{self.file}:{number}: not a failure ({error}); delete the file"
                    ) from error

    @property
    def ids(self) -> KeysView[str]:
        """The videos that failed."""
        return self._by_id.keys()

    def take(self, other: FailureList) -> None:
        """Takes over the failures of another store; `tidy` writes them."""
        self._by_id |= other._by_id

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
            complete: Ids of videos that are whole in the store now.
        """
        self._by_id = {key: value for key, value in self._by_id.items() if key not in complete}
        content = b"".join(_line(failure) for failure in self._by_id.values())
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
    return (json.dumps(asdict(failure)) + "\n").encode()  # ASCII only: a path need not be UTF-8
