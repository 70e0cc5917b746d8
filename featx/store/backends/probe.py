"""Does a place decide between writers? Without that, two machines could both believe that a part of a store is theirs."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from featx.errors import FeatxError
from featx.store.backends.interface import Backend

PROBE_BYTES = 2**20  # of the object whose stretches are read


@dataclass(frozen=True)
class Probed:
    """What a place was found to do.

    Attributes:
        races: How many races were run; in each exactly one writer won.
        writers: How many writers each race had.
        put_ms: Median time of a put-if-absent that meets no other writer.
        read_ms: Median time of reading 4 KiB in the middle of 1 MiB.
    """

    races: int
    writers: int
    put_ms: float
    read_ms: float


def probe(backend: Backend, races: int = 10, writers: int = 16) -> Probed:
    """Races writers for keys, and measures; what is written for it is removed.

    Args:
        backend: The place.
        races: How many keys are raced for.
        writers: How many threads race for each.

    Raises:
        FeatxError: If the place cannot be reached, lets other than one writer win, or loses what was written.
    """
    folder = f"featx-probe-{uuid.uuid4().hex}"
    try:
        with ThreadPoolExecutor(writers) as pool:
            for race in range(races):
                _race(backend, f"{folder}/race-{race}", writers, pool)
        if len(list(backend.list(folder))) != races:
            raise FeatxError(
                f"{backend.name}: does not list what was just written, and so cannot hold a store that several machines "
                "write; choose another place"
            )
        puts = [
            _milliseconds(partial(backend.put_if_absent, f"{folder}/alone-{number}", b"featx"))
            for number in range(races)
        ]
        backend.put(f"{folder}/large", bytes(PROBE_BYTES))
        read = partial(backend.get_ranges, f"{folder}/large", [PROBE_BYTES // 2], [4096])
        reads = [_milliseconds(read) for _ in range(races)]
        return Probed(races, writers, statistics.median(puts), statistics.median(reads))
    finally:
        for each in list(backend.list(folder)):
            backend.delete(each.key)


def _race(backend: Backend, key: str, writers: int, pool: ThreadPoolExecutor) -> None:
    """Lets writers put different bytes under one key at once.

    Raises:
        FeatxError: If other than one won, or the object is not the winner's.
    """
    contents = [f"writer {writer} of {key}".encode() for writer in range(writers)]
    won = list(pool.map(lambda content: backend.put_if_absent(key, content), contents))
    if sum(won) != 1:
        raise FeatxError(
            f"{backend.name}: {sum(won)} of {writers} writers were told that they had created the same object, so this "
            "store ignores If-None-Match and cannot hold a store that several machines write; take a newer server, or "
            "another one"
        )
    if backend.get(key) != contents[won.index(True)]:
        raise FeatxError(
            f"{backend.name}: one writer was told that it had created an object, which holds what another one wrote; "
            "take another server"
        )


def _milliseconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000
