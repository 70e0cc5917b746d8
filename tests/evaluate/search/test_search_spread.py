"""A search by several processes finds what one finds, equally good ones in the order of the store."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stores import fingerprint, video, video_info

from featx.errors import FeatxError
from featx.evaluate.search.exact.search import open_scans, search_exactly
from featx.evaluate.search.exact.settings import SearchSettings
from featx.evaluate.search.exact.spread import Part, scan_part, search_spread, slices_of
from featx.store.reader import FeatureStore, Stretch
from featx.store.writing.writer import StoreWriter


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """30 videos in about 15 shards; every tenth one is the same, so that there are ties."""
    path = tmp_path_factory.mktemp("spread") / "store"
    with StoreWriter(path, fingerprint(), "hdf5", shard_bytes=4000) as writer:
        for number in range(30):
            rows = video(150 + number % 10, number % 10)
            writer.add(f"{number}.mp4", rows, video_info(f"{number}.mp4"))
    return FeatureStore(path)


def queries(count: int) -> torch.Tensor:
    drawn = torch.from_numpy(np.random.default_rng(0).standard_normal((count, 8)).astype(np.float32))
    return drawn / torch.linalg.vector_norm(drawn, dim=1, keepdim=True)


@pytest.mark.parametrize("level", ["moments", "videos", "frames"])
def test_processes_find_what_one_finds(store: FeatureStore, level: str) -> None:
    settings = SearchSettings(level=level, windows=[1, 2])
    plain = search_exactly(open_scans(store, settings), queries(3), 12, settings)
    for processes in (2, 40):  # more than there are stretches
        spread_out = settings.model_copy(update={"processes": processes})
        found = search_spread(store, queries(3), 12, spread_out)
        assert [[same_place(hit) for hit in hits] for hits in found] == [
            [same_place(hit) for hit in hits] for hits in plain
        ]
        for ours, theirs in zip(found, plain, strict=True):
            np.testing.assert_allclose([hit.score for hit in ours], [hit.score for hit in theirs], atol=1e-6)


def same_place(hit: object) -> dict[str, object]:
    return {name: value for name, value in dataclasses.asdict(hit).items() if name != "score"}  # type: ignore[call-overload]


@given(rows=st.lists(st.integers(1, 50), min_size=1, max_size=30), count=st.integers(1, 40))
def test_every_stretch_is_in_one_part(rows: list[int], count: int) -> None:
    stretches = [Stretch(0, 0, ["a"], np.array([0, number])) for number in rows]
    parts = slices_of(stretches, count)
    assert [row for part in parts for row in rows[part]] == rows
    assert 1 <= len(parts) <= count and all(rows[part] for part in parts)
    # No part is larger than a fair share by more than the largest stretch.
    assert max(sum(rows[part]) for part in parts) <= sum(rows) / count + max(rows)


def test_a_store_that_changed_meanwhile_is_an_error(store: FeatureStore) -> None:
    part = Part(str(store.path), slice(0, 1), 7)
    with pytest.raises(FeatxError, match="has changed while it was searched; search again"):
        scan_part(part, queries(1).numpy(), 3, SearchSettings(level="videos"), 1)


def test_the_command_takes_it(store: FeatureStore, class_data: Path, tmp_path: Path, featx) -> None:
    words = ("search", class_data / "features", "a red circle", "--format", "csv")
    one, two = featx(*words), featx(*words, "--processes", 2)
    assert one.code == two.code == 0 and one.out == two.out
    refused = featx(*words, "--processes", 2, "--index", tmp_path / "index")
    assert refused.code == 2 and "leave out --processes and --engine, or --index" in refused.err


@pytest.mark.scale
def test_a_cluster_finds_what_one_process_finds(store: FeatureStore, tmp_path: Path) -> None:
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        settings = SearchSettings(level="frames", engine="ray", address=cluster.address)
        found = search_spread(store, queries(2), 10, settings)
        plain = search_exactly(open_scans(store, settings), queries(2), 10, settings)
        assert [[same_place(hit) for hit in hits] for hits in found] == [
            [same_place(hit) for hit in hits] for hits in plain
        ]
        assert not ray.is_initialized()
    finally:
        cluster.shutdown()
