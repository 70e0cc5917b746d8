"""SIGKILL at random moments, of the run or of any process below it, changes nothing in the end.

Every video's rows equal an undisturbed run's to the bit, the store verifies, and no video that was committed is ever
decoded again. `make test-kill` runs 30 rounds a format; the usual tests run 3.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from killing import Diary, descendants

from featx.store.reader import FeatureStore

SETTINGS = ["--model", "tiny", "--device", "cpu,cpu", "--batch-size", "16", "--retries", "50"]
SMALL_SHARDS = ["--shard-mib", "0.05"]  # about four videos


@pytest.fixture(scope="module")
def videos(shape_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill") / "videos"
    for copy in range(10):
        shutil.copytree(shape_videos, folder / str(copy))
    return folder


def committed(store: Path) -> set[str]:
    return set(FeatureStore(store)) if (store / "store.json").exists() else set()


def disturb(process: subprocess.Popen, rng: random.Random) -> str:
    """Kills the run itself or something below it; says which."""
    below = descendants(process.pid)
    if not below or rng.random() < 0.5:
        process.kill()
        return "run"
    with contextlib.suppress(ProcessLookupError):
        os.kill(rng.choice(below), signal.SIGKILL)
    return "below"


def kill_rounds(videos: Path, folder: Path, format: str, rounds: int) -> dict[str, int]:
    rng = random.Random(rounds)
    diary = Diary(folder)
    environment = {**os.environ, "FEATX_FFMPEG": str(diary.program)}
    command = [sys.executable, "-m", "featx.cli", "extract", str(videos), *SETTINGS, *SMALL_SHARDS]
    command += ["--format", format]

    def start(store: Path) -> subprocess.Popen:
        return subprocess.Popen(
            [*command, "--to", str(store)], env=environment, stderr=subprocess.PIPE, text=True
        )

    reference = folder / "undisturbed"
    process = start(reference)
    _, said = process.communicate()
    assert process.returncode == 0, said
    undisturbed = FeatureStore(reference)
    counts = {"run": 0, "below": 0, "stores": 0, "decoded": 0, "again": 0}
    while counts["run"] + counts["below"] < rounds:
        store = folder / f"store-{counts['stores']}"
        counts["stores"] += 1
        began = len(diary)
        while True:
            kept, line = committed(store), len(diary)
            process = start(store)
            while process.poll() is None and len(diary) == line:
                time.sleep(0.02)
            while process.poll() is None and counts["run"] + counts["below"] < rounds:
                time.sleep(rng.uniform(0, 1.5))
                if process.poll() is None:
                    counts[disturb(process, rng)] += 1
            _, said = process.communicate()
            assert process.returncode in (0, 2, -signal.SIGKILL), (process.returncode, said)
            assert not kept & set(diary.since(videos, line)), "a committed video was decoded again"
            if process.returncode == 0:
                break
        decoded = diary.since(videos, began)
        counts["decoded"] += len(decoded)
        counts["again"] += len(decoded) - len(undisturbed)
        done = FeatureStore(store)
        assert set(done) == set(undisturbed)
        for video_id in undisturbed:
            for part in ("features", "pts", "frame_index"):
                one, other = (getattr(s[video_id], part) for s in (done, undisturbed))
                np.testing.assert_array_equal(one, other)
        check = [sys.executable, "-m", "featx.cli", "store", "verify", str(store)]
        verified = subprocess.run(check, capture_output=True, text=True)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        shutil.rmtree(store)
    return counts


@pytest.mark.parametrize("format", ["zarr", "hdf5"])
def test_kills_change_nothing(videos: Path, tmp_path: Path, format: str) -> None:
    kill_rounds(videos, tmp_path, format, 3)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["zarr", "hdf5"])
def test_many_kills_change_nothing(videos: Path, tmp_path: Path, format: str, capsys) -> None:
    counts = kill_rounds(videos, tmp_path, format, 30)
    with capsys.disabled():
        print(f"\n{format}: {counts}")
