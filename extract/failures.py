"""The list of videos that failed, kept beside the features and shortened when a later run succeeds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from featx.errors import FeatxError
from featx.files import write_atomically
from featx.store.schema import FAILURES_FILE


@dataclass(frozen=True)
class Failure:
    """Why a video has no features: at which stage, what was said, and what became of its good frames."""

    id: str
    path: str
    stage: str
    error: str
    outcome: str
    stderr: list[str]
    attempts: int = 1


class FailureList:
    """The failures of a store, by id; every change is on disk at once."""

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

    def __len__(self) -> int:
        return len(self._by_id)

    def record(self, failure: Failure) -> None:
        """Adds a failure, counting earlier attempts at the same video."""
        earlier = self._by_id.get(failure.id)
        attempts = failure.attempts + (earlier.attempts if earlier else 0)
        self._by_id[failure.id] = Failure(**{**asdict(failure), "attempts": attempts})
        self._save()

    def clear(self, video_id: str) -> None:
        """Removes a video that has features now."""
        if self._by_id.pop(video_id, None):
            self._save()

    def _save(self) -> None:
        lines = [json.dumps(asdict(failure), ensure_ascii=False) for failure in self._by_id.values()]
        write_atomically(self.file, "".join(line + "\n" for line in lines).encode())
