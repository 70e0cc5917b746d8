"""Ray: which stations a cluster holds, and that a real cluster fills a store to the bit, whoever is killed."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from object_servers import SeaweedFS, seaweedfs

from featx.extract.parts.ray_engine import run_station, shares_of, words_of
from featx.extract.parts.settings import WorkSettings
from featx.store.backends.local import LocalFolder
from featx.store.parts.committed import committed_parts
from featx.store.reader import FeatureStore
from featx.store.upkeep.verify import verify

RAY = [sys.executable, "-m", "ray.scripts.scripts"]
HEAD = "127.0.0.2"  # Ray takes 127.0.0.1 for the machine's own address


def node(name: str, alive: bool = True, **resources: float) -> dict:
    return {"NodeID": name, "NodeManagerAddress": f"10.0.0.{name}", "Alive": alive, "Resources": resources}


def test_a_station_is_a_gpu_or_a_machine() -> None:
    nodes = [
        node("1", CPU=16.0, GPU=4.0),
        node("2", CPU=8.0),
        node("3", alive=False, CPU=8.0),
        node("4", GPU=1.0),
    ]
    stations = [(one.node, one.cpus, one.gpus) for one in shares_of(nodes, has_gpus=True)]
    assert stations == [("1", 4.0, 1)] * 4 + [("2", 8.0, 0)]
    assert [(one.node, one.cpus) for one in shares_of(nodes, has_gpus=False)] == [("1", 16.0), ("2", 8.0)]


def test_a_station_is_told_what_the_driver_was() -> None:
    (gpu,) = shares_of([node("1", CPU=4.0, GPU=1.0)], True)
    own = WorkSettings(engine="ray", address="10.0.0.1:6379", batch_size=32, quiet=True, cuda_graph=False)
    words = words_of("s3://b/s", own, gpu)[3:]
    assert words[:2] == ["work", "s3://b/s"] and "--engine" not in words and "--address" not in words
    assert words[words.index("--batch-size") + 1] == "32" and words[words.index("--device") + 1] == "cuda"
    assert {"--quiet", "--no-cuda-graph"} <= set(words) and words[words.index("--decoders") + 1] == "4"


def test_what_a_station_said_last_comes_back(tmp_path: Path) -> None:
    code, said = run_station([sys.executable, "-m", "featx", "work", str(tmp_path)], "here#1")
    assert code == 2 and said.endswith(f"has no plan; make one with featx plan INPUTS --to {tmp_path}")


def free_port() -> int:
    with socket.socket() as one:
        one.bind((HEAD, 0))
        return one.getsockname()[1]


class Cluster:
    """Real raylets on addresses of their own, each with its process group."""

    def __init__(self, folder: Path) -> None:
        self.log, self.port, self.nodes = folder / "ray.log", free_port(), []
        self.address = f"{HEAD}:{self.port}"
        self.head = self._start(
            HEAD, "--head", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false"
        )

    def _start(self, address: str, *words: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_DOCKER_CPU_WARNING": "1"}
        return subprocess.Popen(
            [
                *RAY,
                "start",
                f"--node-ip-address={address}",
                "--object-store-memory=80000000",
                "--block",
                *words,
            ],
            env=environment,
            stdout=self.log.open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def add(self) -> subprocess.Popen[bytes]:
        address = f"127.0.0.{3 + len(self.nodes)}"
        self.nodes.append(self._start(address, f"--address={self.address}", "--num-cpus=1"))
        return self.nodes[-1]

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    try:
        time.sleep(5)
        for _ in range(2):
            made.add()
            time.sleep(3)  # raylets that start in the same second on a loaded machine may not find each other
        yield made
    finally:
        for process in [*made.nodes, made.head]:
            made.kill(process)


def featx(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "featx", *map(str, words)], capture_output=True, text=True, timeout=600
    )


def assert_same(path: Path, plain: FeatureStore) -> None:
    store = FeatureStore(path)
    assert sorted(store) == sorted(plain)
    for video_id in plain:
        np.testing.assert_array_equal(store[video_id].features, plain[video_id].features)
    assert verify(path).findings == []


def stations_of() -> list[int]:
    """Processes of `featx work` that a station is, not the driver."""
    listing = subprocess.run(["ps", "-ewwo", "pid,args"], capture_output=True, text=True).stdout.splitlines()
    return [int(line.split()[0]) for line in listing if "featx work" in line and "--engine" not in line]


@pytest.mark.scale
def test_a_cluster_fills_a_store_to_the_bit_whoever_is_killed(
    work: Path, tmp_path: Path, cluster: Cluster
) -> None:
    videos = work / "videos"
    assert featx("extract", videos, "--model", "tiny", "--to", tmp_path / "plain").returncode == 0
    plain = FeatureStore(tmp_path / "plain")
    engine = ("--engine", "ray", "--address", cluster.address, "--device", "cpu")
    for name in ("undisturbed", "killed", "driver killed"):
        store = tmp_path / name
        assert featx("plan", videos, "--model", "tiny", "--part-frames", 100, "--to", store).returncode == 0
        words = [sys.executable, "-m", "featx", "work", store, *engine]
        with subprocess.Popen([*map(str, words)], stderr=subprocess.PIPE, text=True) as driver:
            if name == "killed":
                while not committed_parts(LocalFolder(store)):
                    assert driver.poll() is None
                    time.sleep(0.2)
                os.kill(random.choice(stations_of()), signal.SIGKILL)
                time.sleep(5)
                cluster.kill(cluster.nodes[1])  # a machine with all that is on it
            elif name == "driver killed":
                while not committed_parts(LocalFolder(store)):
                    time.sleep(0.2)
                driver.kill()
            _, err = driver.communicate(timeout=400)
        if name == "driver killed":
            again = featx("work", store, *engine)
            assert again.returncode == 0, again.stderr
        else:
            assert driver.returncode == 0, err
        verify(store, repair=True)  # what killed attempts left
        assert_same(store, plain)
        deadline = time.monotonic() + 30
        while stations_of() and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not stations_of()  # none outlives the run, or its machine


@pytest.mark.scale
def test_one_command_has_a_cluster_fill_a_bucket(
    work: Path, tmp_path: Path, seaweedfs: SeaweedFS, cluster: Cluster
) -> None:
    videos, place = work / "videos", "s3://bucket/store"
    assert featx("extract", videos, "--model", "tiny", "--to", tmp_path / "plain").returncode == 0
    words = ("extract", videos, "--model", "tiny", "--part-frames", 100, "--to", place, "--device", "cpu")
    done = featx(*words, "--engine", "ray", "--address", cluster.address)
    assert done.returncode == 0, done.stderr
    plain, store = FeatureStore(tmp_path / "plain"), FeatureStore(Path(place))
    assert sorted(store) == sorted(plain)
    for video_id in plain:
        np.testing.assert_array_equal(store[video_id].features, plain[video_id].features)
    again = featx(*words, "--engine", "ray", "--address", cluster.address)
    assert again.returncode == 0 and "nothing to plan: all 20 videos are in it" in again.stderr
