"""The list of videos that failed, kept beside the features and shortened when a later run succeeds."""

from __future__ import annotations

import json
import os
from collections.abc import Container, KeysView
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from featx.errors import FeatxError
from featx.files import write_atomically
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
    """The failures of a store, by id. New ones are appended and flushed; the last line of an id counts."""

    def __init__(self, store: Path) -> None:
        self.file = store / FAILURES_FILE
        self._by_id: dict[str, Failure] = {}
        if self.file.exists():
            for number, line in enumerate(self.file.read_text(encoding="utf-8").split("\n"), start=1):
                if line:
                    try:
                        failure = Failure(**json.loads(line))
                    except (ValueError, TypeError) as error:
                        raise FeatxError(
                            f"{self.file}:{number}: not a failure ({error}); delete the file"
                        ) from error
                    self._by_id[failure.id] = failure

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
        with self.file.open("a", encoding="utf-8") as file:
            file.write(_line(failure))
            file.flush()
            os.fsync(file.fileno())

    def tidy(self, complete: Container[str]) -> None:
        """Writes one line a video that still fails.

        Args:
            complete: Ids of videos that are whole in the store now.
        """
        self._by_id = {key: value for key, value in self._by_id.items() if key not in complete}
        write_atomically(self.file, "".join(_line(failure) for failure in self._by_id.values()).encode())


def _line(failure: Failure) -> str:
    return json.dumps(asdict(failure)) + "\n"  # ASCII only: a path need not be UTF-8
