"""Several machines fill a store: to the bit what one run makes, whoever is killed."""

import json
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from object_servers import KEYS, make_bucket, moto_server
from part_runs import assert_same, kill_group, plain, plan, run, start, videos

from featx.store.backends.local import LocalFolder
from featx.store.backends.open import open_backend
from featx.store.parts.committed import committed_parts
from featx.store.parts.status import status_of
from featx.store.reader import FeatureStore
from featx.store.upkeep.verify import verify


@pytest.mark.parametrize("format", ["zarr", "hdf5"])
def test_two_machines_at_once_make_what_one_makes(
    videos: Path, plain: FeatureStore, tmp_path: Path, format: str
) -> None:
    store = tmp_path / "store"
    plan(videos, store, "--format", format)
    words = [("--part-slice", "1/2"), ("--part-slice", "2/2")] if format == "zarr" else [(), ()]
    machines = [start("work", store, *some) for some in words]
    told = [machine.communicate() for machine in machines]
    codes = [machine.returncode for machine in machines]
    assert sorted(codes) == [0, 3], told  # one of them had the broken video
    assert_same(store, plain)
    status = status_of(LocalFolder(store))
    assert len(status.done) == status.plans.parts > 4 and not status.claims
    assert {part.number for part in status.done} == set(range(status.plans.parts))
    assert [video_id for part in status.done for video_id, _ in part.failures] == ["broken.mp4"]
    again = run("work", store)
    assert again.returncode == 0 and "0 parts done here; all" in again.stderr
    words = ("plan", videos, "--model", "tiny", "--follow-links", "--to", store, "--format", format)
    assert "planned: 1 videos" in run(*words).stdout  # the broken one is tried again
    assert "has this plan already" in run(*words).stdout
    other = run("plan", videos, "--model", "tiny", "--to", store, "--fps", 2)
    assert other.returncode == 2 and "fps: 2, not None" in other.stderr


def test_status_says_how_far_it_is(videos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    plan(videos, store)
    nothing = run("store", "status", store)
    assert "0 of " in nothing.stdout and nothing.returncode == 0
    assert run("work", store, "--part-slice", "0/2").returncode in (0, 3)
    said = run("store", "status", store).stdout
    done = status_of(LocalFolder(store))
    assert f"parts           {len(done.done)} of {done.plans.parts} done" in said and "time left" in said
    assert json.loads(run("store", "status", store, "--json").stdout)["parts"] == done.plans.parts
    refused = run("extract", videos, "--model", "tiny", "--to", store)
    assert refused.returncode == 2 and "parts of its plan are not done" in refused.stderr


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_machines_that_are_killed_lose_no_video(
    videos: Path, plain: FeatureStore, tmp_path: Path, rounds: int
) -> None:
    dice = random.Random(0)
    for number in range(rounds):
        store = tmp_path / f"store-{number}"
        plan(videos, store)
        for _ in range(2):
            machine = start("work", store)
            time.sleep(dice.uniform(3, 9))
            kill_group(machine)
            assert FeatureStore(store).index if committed_parts(LocalFolder(store)) else True
        before = committed_parts(LocalFolder(store))
        stamps = {part: (store / "shards" / f"shard-{part:05d}.json").stat().st_mtime_ns for part in before}
        last = run("work", store, "--backup-after", "0.1")
        assert last.returncode in (0, 3), last.stderr
        for part, stamp in stamps.items():  # what was committed is not touched again
            assert (store / "shards" / f"shard-{part:05d}.json").stat().st_mtime_ns == stamp
        verify(store, repair=True)  # takes away what killed machines left
        assert_same(store, plain)


def test_a_signal_commits_nothing_half(videos: Path, plain: FeatureStore, tmp_path: Path) -> None:
    store = tmp_path / "store"
    plan(videos, store)
    machine = start("work", store)
    while not committed_parts(LocalFolder(store)):
        time.sleep(0.1)
    machine.send_signal(signal.SIGTERM)
    _, err = machine.communicate()
    assert machine.returncode == 130 and "every whole part is in" in err
    assert not status_of(LocalFolder(store)).claims  # others take the rest at once
    assert run("work", store).returncode in (0, 3)
    assert_same(store, plain)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))
    with moto_server() as address:
        for name, value in (KEYS | {"AWS_ENDPOINT_URL": address}).items():
            monkeypatch.setenv(name, value)
        make_bucket(address, "bucket")
        yield "s3://bucket/store"


def test_an_object_store_gets_the_same(
    videos: Path, plain: FeatureStore, tmp_path: Path, bucket: str
) -> None:
    plan(videos, bucket)
    done = run("work", bucket)
    assert done.returncode == 3, done.stderr
    said = run("store", "status", bucket)
    assert said.returncode == 0 and "broken.mp4" in said.stdout
    remote = FeatureStore(Path(bucket))
    assert sorted(remote) == sorted(plain)
    for video_id in plain:
        np.testing.assert_array_equal(remote[video_id].features, plain[video_id].features)
    backend = open_backend(bucket)
    for listed in backend.list():  # downloaded as it is, it is the store
        file = tmp_path / "store" / listed.key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(backend.get(listed.key))
    assert_same(tmp_path / "store", plain)
