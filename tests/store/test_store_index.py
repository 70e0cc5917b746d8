"""Opening a store reads each record once and nothing else, however many videos there are."""

from pathlib import Path

import numpy as np
import pytest
from stores import fingerprint

from featx.store import index as index_module
from featx.store.reader import FeatureStore
from featx.store.writing.writer import StoreWriter


def test_an_index_is_opened_with_one_read_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench_store import FINGERPRINT, make_index

    make_index(tmp_path / "s", videos=20_000, shards=40)
    read: list[Path] = []
    original = index_module.read_checksummed
    monkeypatch.setattr(index_module, "read_checksummed", lambda file: read.append(file) or original(file))
    store = FeatureStore(tmp_path / "s")
    assert len(read) == len(set(read)) == 41  # and none of features: there are none
    assert len(store) == 20_000 and store.rows("class_7/video_0000007.mp4") == 100
    place = store.index.number_of["class_47/video_0000047.mp4"]
    assert (store.index.shard_of[place], store.index.first_row[place]) == (7, 100)
    read.clear()
    with StoreWriter(tmp_path / "s", FINGERPRINT) as writer:
        assert len(read) == 41 and set(writer.done) == set(store) and all(writer.done.values())


def test_an_empty_store_is_a_store(tmp_path: Path) -> None:
    StoreWriter(tmp_path, fingerprint()).__exit__(None, None, None)
    store = FeatureStore(tmp_path)
    assert len(store) == 0 and list(store.videos()) == []
    assert store.load([]).features.shape == (0, 8)
    np.testing.assert_array_equal(store.read_windows([], [], 16).offsets, [0])
