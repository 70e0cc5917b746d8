"""A place in memory that decides between writers as an object store does, and fails where it is told to."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence

from featx.errors import FeatxError
from featx.files.checksummed_json import parse_checksummed
from featx.store.backends.interface import Listed, NotThere

# What may happen to an operation that writes: nothing, an error before it, or its reply is lost.
GOOD, BEFORE, LOST_REPLY = "good", "before", "lost reply"


class SimulatedStore:
    """Objects by key.

    Attributes:
        objects: What is there.
        before: Is called before each operation that writes, with its name; tells what happens to it. It may wait.
    """

    name = "simulated://store"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.before: Callable[[str], str] = lambda operation: GOOD
        self._lock = threading.Lock()

    def _write(self, operation: str, act: Callable[[], bool]) -> bool:
        fate = self.before(operation)
        if fate == BEFORE:
            raise FeatxError(f"{operation}: the store cannot be reached")
        with self._lock:
            done = act()
        if fate == LOST_REPLY:
            raise FeatxError(f"{operation}: the reply was lost")
        return done

    def put_if_absent(self, key: str, content: bytes) -> bool:
        def act() -> bool:
            return self.objects.setdefault(key, content) == content

        return self._write(f"put if absent {key}", act)

    def put(self, key: str, content: bytes) -> None:
        def act() -> bool:
            self.objects[key] = content
            return True

        self._write(f"put {key}", act)

    def delete(self, key: str) -> None:
        self._write(f"delete {key}", lambda: self.objects.pop(key, None) is None)

    def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise NotThere(key)
        return self.objects[key]

    def get_ranges(self, key: str, starts: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        content = self.get(key)
        return [content[start : start + size] for start, size in zip(starts, sizes, strict=True)]

    def list(self, prefix: str = "") -> Iterator[Listed]:
        with self._lock:
            found = [Listed(key, len(content)) for key, content in self.objects.items()]
        return iter([one for one in found if one.key.startswith(f"{prefix}/" if prefix else "")])

    def size(self, key: str) -> int:
        return len(self.get(key))

    def check_what_is_committed(self) -> dict[int, Sequence[str]]:
        """Checks that every record's arrays are there as they were written; returns the ids of each part."""
        ids = {}
        for key, content in list(self.objects.items()):
            if key.startswith("shards/") and key.endswith(".json"):
                record = parse_checksummed(content, key)
                for file, (size, sha256) in record["files"].items():
                    array = self.objects[f"shards/{file}"]
                    assert (len(array), hashlib.sha256(array).hexdigest()) == (size, sha256)
                ids[int(key[len("shards/shard-") : -len(".json")])] = record["ids"]
        return ids
