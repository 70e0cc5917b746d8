"""A store at a URL is read as the same one in a folder: to the bit, in few requests, and damage is an error."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from object_servers import KEYS, free_port, make_bucket, moto_server
from stores import fingerprint, make_store, numbered, video, video_info

from featx.errors import FeatxError
from featx.files.checksummed_json import Damaged
from featx.store.backends.open import open_backend
from featx.store.mirror import url_of
from featx.store.reader import FeatureStore
from featx.store.remote_rows import ChunkCache
from featx.store.upkeep.verify import verify
from featx.store.writing.writer import StoreWriter

LENGTHS = [700, 3, 256, 257, 1, 90, 1500]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with moto_server() as running:
        make_bucket(running, "bucket")
        yield running


@pytest.fixture
def bucket(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> str:
    for name, value in (KEYS | {"AWS_ENDPOINT_URL": address, "FEATX_CACHE": str(tmp_path / "cache")}).items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{abs(hash(request.node.name))}"


def upload(folder: Path, url: str) -> None:
    backend = open_backend(url)
    for file in folder.rglob("*"):
        if file.is_file() and file.name != "lock":
            backend.put(file.relative_to(folder).as_posix(), file.read_bytes())


def both(tmp_path: Path, url: str, format: str = "zarr") -> tuple[FeatureStore, FeatureStore]:
    path = tmp_path / "store"
    videos = numbered(LENGTHS)
    with StoreWriter(path, fingerprint(), format, shard_bytes=8_000) as writer:
        for name, rows in videos.items():
            writer.add(name, rows, video_info(name))
    upload(path, url)
    return FeatureStore(path), FeatureStore(Path(url))


class Counting:
    """A backend that counts what is asked of it."""

    def __init__(self, backend: object) -> None:
        self.backend, self.asked = backend, []

    def __getattr__(self, name: str) -> object:
        self.asked.append(name)
        return getattr(self.backend, name)


@pytest.mark.parametrize("format", ["zarr", "hdf5"])
def test_everything_is_read_as_from_the_folder(tmp_path: Path, bucket: str, format: str) -> None:
    local, remote = both(tmp_path, bucket, format)
    assert list(remote) == list(local) and remote.header == local.header and len(local.index.shards) > 2
    for name in local:
        for column in ("features", "pts", "frame_index"):
            np.testing.assert_array_equal(getattr(remote[name], column), getattr(local[name], column))
    names = list(reversed(list(local)))
    np.testing.assert_array_equal(remote.load(names).features, local.load(names).features)
    assert remote.video_info(names) == local.video_info(names)
    for (one, rows, info), (other, expected, known) in zip(remote.videos(), local.videos(), strict=True):
        assert (one, info) == (other, known) and np.array_equal(rows.features, expected.features)
    for ours, theirs in zip(remote.stretches(), local.stretches(), strict=True):
        np.testing.assert_array_equal(
            np.concatenate([*remote.blocks(ours)]), np.concatenate([*local.blocks(theirs)])
        )
        np.testing.assert_array_equal(remote.pts_of(ours), local.pts_of(theirs))


def test_many_windows_take_a_request_a_shard_and_are_kept(tmp_path: Path, bucket: str) -> None:
    local, remote = both(tmp_path, bucket)
    rng = np.random.default_rng(0)
    ids = [list(local)[number] for number in rng.integers(0, len(LENGTHS), 200)]
    counts = np.array([min(16, local.rows(name)) for name in ids])
    starts = np.array(
        [rng.integers(0, local.rows(name) - n + 1) for name, n in zip(ids, counts, strict=True)]
    )
    counting = remote._backend = Counting(remote._backend)  # type: ignore[assignment]
    for _ in range(2):
        np.testing.assert_array_equal(
            remote.read_windows(ids, starts, counts).features,
            local.read_windows(ids, starts, counts).features,
        )
        assert 0 < counting.asked.count("get_ranges") <= len(local.index.shards)


def test_an_open_store_stands_for_its_url(tmp_path: Path, bucket: str) -> None:
    local, remote = both(tmp_path, bucket)
    assert os.fspath(remote) == bucket and os.fspath(local) == str(tmp_path / "store")
    np.testing.assert_array_equal(
        FeatureStore(Path(remote))["folder/0.mp4"].features, local["folder/0.mp4"].features
    )


def test_threads_and_pickles(tmp_path: Path, bucket: str) -> None:
    local, remote = both(tmp_path, bucket)
    again = pickle.loads(pickle.dumps(remote))
    names = list(local) * 5
    with ThreadPoolExecutor(8) as pool:
        for name, rows in zip(names, pool.map(lambda name: again[name].features, names), strict=True):
            np.testing.assert_array_equal(rows, local[name].features)


def test_new_records_are_fetched_and_old_ones_are_not(tmp_path: Path, bucket: str) -> None:
    path = make_store(tmp_path / "store", numbered([5, 6]))
    upload(path, bucket)
    first = FeatureStore(Path(bucket))
    records = {file: file.stat().st_mtime_ns for file in (first.path / "shards").iterdir()}
    with StoreWriter.of(path) as writer:
        writer.add("new.mp4", video(4, 9), video_info("new.mp4"))
    upload(path, bucket)
    second = FeatureStore(Path(bucket))
    assert len(second) == len(first) + 1 and len(first) == 2
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in records.items())
    open_backend(bucket).delete("shards/shard-00001.json")
    assert len(FeatureStore(Path(bucket))) == 2


def test_damage_and_loss_are_errors(tmp_path: Path, bucket: str) -> None:
    path = make_store(tmp_path / "store", numbered([300]), "hdf5")
    upload(path, bucket)
    store, backend = FeatureStore(Path(bucket)), open_backend(bucket)
    name, key = store.ids[0], "shards/shard-00000.h5"
    content = bytearray(backend.get(key))
    content[store.index.shards[0].chunks["features"].starts[0] + 5] ^= 1
    backend.put(key, bytes(content))
    with pytest.raises(Damaged, match=f"{bucket}/{key}: damaged in row 0"):
        store[name]
    backend.delete(key)
    with pytest.raises(Damaged, match="is not there"):
        store[name]
    with pytest.raises(FeatxError, match="not a feature store"):
        FeatureStore(Path("s3://bucket/nothing"))


def test_a_cache_stays_below_its_size() -> None:
    cache = ChunkCache(1000)
    for index in range(10):
        cache.put("a", index, np.zeros(300, np.uint8))
    assert cache.get("a", 9) is not None and cache.get("a", 0) is None
    assert sum(cache.get("a", index) is not None for index in range(10)) == 3


def test_a_url_survives_being_a_path() -> None:
    assert url_of(Path("s3://bucket/a/b")) == "s3://bucket/a/b" and url_of(Path("gs:/x")) == "gs://x"
    assert url_of(Path("features/s3/x")) is None and url_of(Path("/s3:/x")) is None


def test_commands_take_a_url(tmp_path: Path, bucket: str, order_data: Path, run_featx) -> None:
    upload(order_data / "features", bucket)
    local, there = ["--store", order_data / "features"], ["--store", bucket]
    same = ["--manifest", order_data / "manifest.jsonl", "--steps", 3, "--batch-size", 8, "--quiet"]
    for store, name in ((local, "local"), (there, "there")):
        run_featx("train", *store, *same, "--to", tmp_path / name)
    from safetensors.numpy import load_file

    one, other = (load_file(tmp_path / name / "adapter.safetensors") for name in ("local", "there"))
    assert all(np.array_equal(one[key], other[key]) for key in one) and one.keys() == other.keys()
    assert run_featx("eval", tmp_path / "there").splitlines()[3:] != []
    found = [
        run_featx("search", store, "a star", "--level", "videos", "--format", "csv")
        for store in (order_data / "features", bucket)
    ]
    assert found[0] == found[1]
    assert "shards" in run_featx("store", "info", bucket)


def test_two_nodes_on_a_bucket_learn_what_one_process_learns_from_the_folder(
    tmp_path: Path, bucket: str, order_data: Path, run_featx
) -> None:
    """Each node has a process, a cache and a folder of its own, and a memory budget below the size of the features."""
    upload(order_data / "features", bucket)
    same = ["--manifest", order_data / "manifest.jsonl", "--steps", 8, "--batch-size", 8, "--prompts", 2]
    same += ["--layers", 1, "--log-every", 1, "--device", "cpu", "--feature-memory-gib", 0.0001]
    run_featx("train", "--store", order_data / "features", *same, "--to", tmp_path / "one")
    port = free_port()
    torchrun = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--nnodes", "2"]
    torchrun += ["--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", str(port)]
    nodes = []
    for node in range(2):
        words = ["train", "--store", bucket, *same, "--to", tmp_path / f"node-{node}"]
        environment = os.environ | {"FEATX_CACHE": str(tmp_path / f"cache-{node}")}
        command = [*torchrun, "--node-rank", str(node), "-m", "featx.cli", *map(str, words)]
        nodes.append(
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
    said = [node.communicate(timeout=240) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert not (tmp_path / "node-1").exists() or not [*(tmp_path / "node-1").glob("adapter*")]
    one, two = (
        [json.loads(line).get("loss") for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "node-0")
    )
    assert len(one) == 8
    np.testing.assert_allclose(two, one, rtol=1e-5)


@pytest.mark.parametrize("format", ["zarr", "hdf5"])
def test_a_bucket_is_verified_merged_and_converted(tmp_path: Path, bucket: str, format: str, featx) -> None:
    local, _ = both(tmp_path, bucket, format)
    clean = verify(Path(bucket))
    assert clean.findings == [] and (clean.videos, clean.rows) == (len(LENGTHS), sum(LENGTHS))
    assert len([*(tmp_path / "cache").rglob("*.zarr"), *(tmp_path / "cache").rglob("*.h5")]) == 0
    done = featx("store", "convert", bucket, "--to", tmp_path / "copy", "--dtype", "float32")
    assert done.code == 0, done.err
    copy = FeatureStore(tmp_path / "copy")
    for video_id in local:
        np.testing.assert_array_equal(copy[video_id].features, local[video_id].features.astype(np.float32))
    assert featx("store", "merge", bucket, "--to", tmp_path / "merged").code == 0
    assert list(FeatureStore(tmp_path / "merged")) == list(local)
    assert featx("store", "export", bucket, "--to", tmp_path / "npy", "--as", "npy").code == 0
    assert len([*(tmp_path / "npy").rglob("*.npy")]) == len(LENGTHS)
    backend = open_backend(bucket)
    arrays = max(
        (one for one in backend.list("shards") if not one.key.endswith(".json")),
        key=lambda one: one.size_bytes,
    )
    content = bytearray(backend.get(arrays.key))
    content[len(content) // 2] ^= 1
    backend.put(arrays.key, bytes(content))
    backend.put("shards/shard-00099.abc.h5", b"left")
    done = featx("store", "verify", bucket)
    assert done.code == 4 and "shard-00099.abc.h5" in done.out and len(verify(Path(bucket)).to_drop) == 1
    refused = featx("store", "verify", bucket, "--repair")
    assert refused.code == 2 and "copy it into a folder" in refused.err
