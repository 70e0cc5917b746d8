"""A worker process that dies costs the videos that it had in hand an attempt, never the run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from featx.errors import FeatxError
from featx.extract.plan.settings import ExtractSettings
from featx.extract.plan.videos import SourceVideo
from featx.extract.workers.messages import VideoDone, VideoFailed
from featx.extract.workers.worker_pool import WorkerPool
from featx.store.reader import FeatureStore


@pytest.fixture
def videos(shape_videos: Path, tmp_path: Path) -> list[SourceVideo]:
    made = []
    for copy in range(4):
        for path in sorted(shape_videos.glob("*/*.mp4")):
            name = f"{copy}-{path.parent.name}-{path.name}"
            made.append(SourceVideo(name, Path(shutil.copy(path, tmp_path / name))))
    return made


def run(worker_pool: WorkerPool, videos: list[SourceVideo]) -> tuple[list[str], list[VideoFailed]]:
    messages = list(worker_pool.work(videos))
    whole = [message.video.id for message in messages if isinstance(message, VideoDone)]
    return whole, [message for message in messages if isinstance(message, VideoFailed)]


def test_every_video_comes_once_whoever_works_on_it(videos: list[SourceVideo]) -> None:
    with WorkerPool(ExtractSettings(model="tiny", device="cpu,cpu")) as worker_pool:
        whole, failed = run(worker_pool, videos)
        frames = worker_pool.counts.frames_encoded
    assert sorted(whole) == sorted(video.id for video in videos)
    assert not failed and frames > 40 * len(videos)


def test_killed_workers_cost_an_attempt(videos: list[SourceVideo]) -> None:
    seen: list[str] = []
    killed: list[int] = []
    with WorkerPool(ExtractSettings(model="tiny", device="cpu,cpu", batch_size=8)) as worker_pool:
        for message in worker_pool.work(videos):
            if isinstance(message, VideoDone):
                seen.append(message.video.id)
                if len(seen) in (3, 9):
                    worker = max(worker_pool._workers, key=lambda w: len(w.in_hand))
                    assert worker.process.pid
                    killed.append(worker.process.pid)
                    os.kill(worker.process.pid, signal.SIGKILL)
            assert not isinstance(message, VideoFailed)
    assert len(killed) == 2
    assert sorted(seen) == sorted(video.id for video in videos)


def test_the_video_at_fault_is_found_and_the_others_are_kept(
    videos: list[SourceVideo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands in for a crash in a driver: this decoder kills the process that started it, for one video."""
    from featx.video.ffmpeg import ffmpeg_path

    script = tmp_path / "ffmpeg"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *1-growing-1.mp4*) kill -9 $PPID;; esac\nexec "{ffmpeg_path()}" "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("FEATX_FFMPEG", str(script))
    videos = videos[:12]
    with WorkerPool(ExtractSettings(model="tiny", device="cpu", retries=1)) as worker_pool:
        whole, failed = run(worker_pool, videos)
    assert sorted(whole) == sorted(video.id for video in videos if video.id != "1-growing-1.mp4")
    (failure,) = (message.failure for message in failed)
    assert (failure.id, failure.stage, failure.attempts) == ("1-growing-1.mp4", "encode", 2)
    assert "was killed by signal 9" in failure.error


def test_a_worker_that_cannot_start_ends_the_run() -> None:
    for settings, message in [
        (ExtractSettings(model="tyny"), "did you mean 'tiny'"),
        (ExtractSettings(model="tiny", device="cpu,cuda:7"), "--device cuda:7"),
    ]:
        with pytest.raises(FeatxError, match=message), WorkerPool(settings):
            pass


def children(pid: int) -> list[int]:
    listing = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True)
    direct = [int(word) for word in listing.stdout.split()]
    return direct + [below for child in direct for below in children(child)]


def test_a_killed_run_leaves_no_process(videos: list[SourceVideo], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "featx.cli", "extract", str(tmp_path), "--to", str(tmp_path / "s")]
    process = subprocess.Popen(
        [*command, "--model", "tiny", "--batch-size", "16", "--max-failures", "1"], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "s" / "lock").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    family = children(process.pid)
    process.kill()
    process.wait()
    assert len(family) >= 2  # the process that workers are forked from, and a worker
    while any(Path(f"/proc/{pid}").exists() for pid in family) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in family if Path(f"/proc/{pid}").exists()]


def test_stats_are_those_of_all_workers(videos: list[SourceVideo], tmp_path: Path, featx) -> None:
    stats = tmp_path / "stats.json"
    words = ["extract", tmp_path, "--to", tmp_path / "s", "--model", "tiny", "--device", "cpu,cpu"]
    assert featx(*words, "--stats", stats).code == 0
    figures = json.loads(stats.read_text())
    store = FeatureStore(tmp_path / "s")
    rows = sum(store.rows(video_id) for video_id in store)
    assert figures["videos_added"] == len(store) == len(videos)
    assert figures["frames_encoded"] == figures["frames_decoded"] == rows
    assert figures["limit"] in ("decoding", "encoding")
