"""Machines are killed, stopped and woken, their workers killed, the S3 server restarted: no bit differs in the end."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from killing import Diary, descendants
from object_servers import SeaweedFS, seaweedfs
from part_runs import assert_same, kill_group, plain, run, videos

from featx.store.backends.open import open_backend
from featx.store.parts.committed import committed_parts
from featx.store.parts.plan import read_part, read_plans
from featx.store.reader import FeatureStore
from featx.store.upkeep.verify import verify

ROUNDS = 30  # disturbances of each backend
A_STORE = 6


@pytest.mark.scale
@pytest.mark.parametrize("backend", ["folder", "s3"])
def test_no_bit_differs(
    videos: Path,
    plain: FeatureStore,
    tmp_path: Path,
    backend: str,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    server: SeaweedFS | None = request.getfixturevalue("seaweedfs") if backend == "s3" else None
    diary = Diary(tmp_path)
    monkeypatch.setenv("FEATX_FFMPEG", str(diary.program))
    dice, did = random.Random(1), Counter[str]()
    stores = again = 0
    while did.total() < ROUNDS:
        place = f"s3://bucket/store-{stores}" if server else str(tmp_path / f"store-{stores}")
        stores += 1
        words = ("plan", videos, "--model", "tiny", "--follow-links", "--to", place, "--part-frames", 100)
        assert run(*words).returncode == 0
        line, before = len(diary), did["machine"] + did["below"]
        disturb(place, server, dice, did)
        last = run("work", place, "--backup-after", "0.1")
        assert last.returncode in (0, 3), last.stderr
        assert_same(whole(place, tmp_path / f"whole-{stores}"), plain)
        kills = did["machine"] + did["below"] - before
        again += check_work_done_again(place, Counter(diary.since(videos, line)), kills)
    print(f"{backend}: {dict(did)} in {stores} stores; {again} videos were decoded again")


def disturb(place: str, server: SeaweedFS | None, dice: random.Random, did: Counter[str]) -> None:
    """Lets two machines work, and does something to them now and then until all parts are done or enough was done."""
    backend = open_backend(place)
    parts = read_plans(backend).parts
    machines = [machine(place) for _ in range(2)]
    for _ in range(A_STORE):
        time.sleep(dice.uniform(2, 6))
        if len(committed_parts(backend)) >= parts:
            break
        at = dice.randrange(2)
        kind = dice.choice(["machine", "machine", "below", "stop"] + ["server"] * (server is not None))
        if kind == "server" and server is not None:
            server.restart()
        elif kind == "machine":
            kill_group(machines[at])
            machines[at] = machine(place)
        elif kind == "below" and (below := descendants(machines[at].pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice(below), signal.SIGKILL)
        elif kind == "stop":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(machines[at].pid, signal.SIGSTOP)
                time.sleep(3)
                os.killpg(machines[at].pid, signal.SIGCONT)
        did[kind] += 1
    for one in machines:
        kill_group(one)


def machine(place: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "featx", "work", place],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def check_work_done_again(place: str, decoded: Counter[str], kills: int) -> int:
    """Returns how often videos were decoded again: at most those of the parts that killed machines had in hand."""
    backend = open_backend(place)
    plans = read_plans(backend)
    largest = max(len(read_part(backend, plans.of(number), number)) for number in plans.numbers)
    again = sum(decoded.values()) - len(decoded)
    # The two machines that are killed at the end, too. One has two parts in hand at most, and two that wait to be
    # committed; a video is asked for its packets, and decoded.
    assert again <= (kills + 2) * 4 * largest * 2 + len(decoded)
    return again


def whole(place: str, folder: Path) -> Path:
    """Returns a folder with all of a store."""
    if "://" not in place:
        verify(Path(place), repair=True)  # takes away what killed machines left
        return Path(place)
    backend = open_backend(place)
    for listed in backend.list():
        file = folder / listed.key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(backend.get(listed.key))
    verify(folder, repair=True)
    return folder
