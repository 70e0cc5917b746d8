"""Features are the same wherever they are kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch._subclasses.fake_tensor import FakeTensorMode

from featx.features import sources
from featx.features.clips import ClipSampling, draw_clips
from featx.features.sources import ResidentSource, StoreSource, free_memory_bytes, open_source
from featx.store.reader import FeatureStore, PackedVideos


@pytest.fixture
def store(order_data: Path) -> FeatureStore:
    return FeatureStore(order_data / "features")


def clips_of(store: FeatureStore) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids in an order of their own, videos drawn with repetition, rows of their clips."""
    rng = np.random.default_rng(0)
    ids = [str(video_id) for video_id in rng.permutation(list(store))]
    videos = rng.integers(0, len(ids), 200)
    counts = np.array([store.rows(ids[video]) for video in videos])
    return ids, videos, draw_clips(rng, counts, ClipSampling(16, [1, 2, 3, 4], [1, 1, 3, 1]))


def expected(store: FeatureStore) -> np.ndarray:
    ids, videos, rows = clips_of(store)
    features = {video_id: store[video_id].features for video_id in ids}
    return np.stack([features[ids[video]][row] for video, row in zip(videos, rows, strict=True)])


def test_clips_from_memory_are_the_videos_rows(store: FeatureStore) -> None:
    ids, videos, rows = clips_of(store)
    found = ResidentSource(store, ids).gather(videos, rows)
    assert found.dtype == torch.float16
    np.testing.assert_array_equal(found.numpy(), expected(store))


def test_features_are_read_in_blocks_of_whole_videos(store: FeatureStore, monkeypatch) -> None:
    ids, videos, rows = clips_of(store)
    read: list[int] = []
    load = FeatureStore.load

    def counted(self: FeatureStore, ids: list[str]) -> PackedVideos:
        packed = load(self, ids)
        read.append(packed.features.nbytes)
        return packed

    monkeypatch.setattr(FeatureStore, "load", counted)
    longest = max(store.rows(video_id) for video_id in ids) * 128 * 2
    monkeypatch.setattr(sources, "BLOCK_BYTES", 3 * longest)
    found = ResidentSource(store, ids).gather(videos, rows)
    np.testing.assert_array_equal(found.numpy(), expected(store))
    assert len(read) > 2 and max(read) <= 4 * longest  # a block, and what of its last video is beyond it
    assert sum(read) == sum(store.rows(video_id) for video_id in ids) * 128 * 2


def test_no_clips_are_none_wherever_they_would_come_from(store: FeatureStore) -> None:
    nothing = np.zeros(0, np.int64), np.zeros((0, 16), np.int64)
    assert ResidentSource(store, list(store)).gather(*nothing).shape == (0, 16, 128)


@pytest.mark.parametrize(("left", "where"), [(1.5, "cuda"), (0.9, "memory")])
def test_a_gpu_is_looked_at_again_when_features_are_on_it(
    left: float, where: str, store: FeatureStore, monkeypatch
) -> None:
    """Two runs that begin together both see half of it free; who then finds too little left goes back to memory."""
    ids = list(store)
    rows = np.array([store.rows(video_id) for video_id in ids])
    needed = int(rows.sum()) * 128 * 2
    free = iter([int(2.5 * needed), int(left * needed)])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (next(free), 2**40))
    with FakeTensorMode(allow_non_fake_inputs=True):
        source = open_source(store, ids, rows, "cuda", None)
        clips = source.gather(np.array([0, 1]), np.zeros((2, 16), np.int64))
    assert source.location == where
    assert clips.device.type == where.replace("memory", "cpu") and clips.shape == (2, 16, 128)


def test_clips_from_the_store_are_the_videos_rows(store: FeatureStore) -> None:
    ids, videos, rows = clips_of(store)
    np.testing.assert_array_equal(StoreSource(store, ids).gather(videos, rows).numpy(), expected(store))


def test_the_budget_decides(store: FeatureStore) -> None:
    ids = list(store)
    rows = np.array([store.rows(video_id) for video_id in ids])
    gib = rows.sum() * 128 * 2 / 2**30
    assert open_source(store, ids, rows, "cpu", gib).location == "memory"
    assert open_source(store, ids, rows, "cpu", gib * 0.99).location == "the store"
    assert open_source(store, ids, rows, "cpu", None).location == "memory"
    assert 0 < free_memory_bytes() < 2**50


def test_training_learns_the_same_from_the_store_as_from_memory(
    order_data: Path, tmp_path: Path, featx
) -> None:
    where = ["train", "--store", order_data / "features", "--manifest", order_data / "manifest.jsonl"]
    words = [
        *where,
        "--prompts",
        2,
        "--layers",
        1,
        "--steps",
        40,
        "--batch-size",
        8,
        "--validation",
        0.2,
        "--device",
        "cpu",
    ]
    outcome = featx(*words, "--to", tmp_path / "memory")
    assert outcome.code == 0 and "features in memory" in outcome.err, outcome.err
    outcome = featx(*words, "--to", tmp_path / "store", "--feature-memory-gib", 0)
    assert outcome.code == 0 and "features in the store" in outcome.err, outcome.err
    memory, read = (load_file(tmp_path / name / "adapter.safetensors") for name in ("memory", "store"))
    assert memory.keys() == read.keys()
    assert all(torch.equal(memory[name], read[name]) for name in memory)
