"""Machines that fill a store by a plan, each a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from featx.store.reader import FeatureStore
from featx.store.upkeep.verify import verify

SMALL = ("--part-frames", 150)


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "featx", *map(str, words)], capture_output=True, text=True, timeout=300
    )


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "featx", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def plan(videos: Path, store: object, *words: object) -> None:
    done = run("plan", videos, "--model", "tiny", "--follow-links", "--to", store, *SMALL, *words)
    assert done.returncode == 0, done.stderr


def assert_same(path: Path, plain: FeatureStore) -> None:
    store = FeatureStore(path)
    assert sorted(store) == sorted(plain)
    for video_id in plain:
        for column in ("features", "pts", "frame_index"):
            ours, theirs = getattr(store[video_id], column), getattr(plain[video_id], column)
            assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
    infos, known = store.video_info(list(store)), plain.video_info(list(plain))
    assert infos == known
    assert verify(path).findings == []


def kill_group(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def videos(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 videos, a broken one, and one that must not be opened."""
    folder = tmp_path_factory.mktemp("many")
    for file in (work / "videos").rglob("*.mp4"):
        target = folder / "videos" / file.relative_to(work / "videos")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(file)
    (folder / "videos" / "broken.mp4").write_bytes(b"no video at all")
    (folder / "secret.mp4").symlink_to("/etc/hostname")
    return folder / "videos"


@pytest.fixture(scope="module")
def plain(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    path = tmp_path_factory.mktemp("plain") / "store"
    done = run("extract", videos, "--model", "tiny", "--follow-links", "--to", path)
    assert done.returncode == 3, done.stderr
    return FeatureStore(path)
