"""A FAISS index and a store that lives: videos are removed, and what is left is copied into new shards."""

from pathlib import Path

import pytest
from stores import FORMATS
from test_search_index_grows import (  # noqa: F401
    LEVELS,
    add,
    check,
    everything,
    exact_rows,
    one_thread,
    open_index,
    queries,
)

from featx.store.reader import FeatureStore


class CountingStore(FeatureStore):
    rows_read = 0

    def blocks(self, stretch):
        for part in super().blocks(stretch):
            self.rows_read += len(part)
            yield part


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("format", FORMATS)
def test_removed_and_compacted_videos_are_not_found(tmp_path: Path, level: str, format: str, featx) -> None:
    path = add(tmp_path / "s", {f"{n}.mp4": exact_rows(40, n) for n in range(20)}, format)
    asked = everything(level)
    open_index(tmp_path / "i", FeatureStore(path), queries(), asked)
    outcome = featx("store", "remove", path, "3.mp4", "4.mp4", "11.mp4")
    assert outcome.code == 0, outcome.err
    store = CountingStore(path)
    opened, done = open_index(tmp_path / "i", store, queries(), asked)
    assert (done, store.rows_read) == ("", 0) and opened.dead > 0
    check(opened, store, level, tmp_path / "fresh-0")
    outcome = featx("store", "compact", path)
    assert outcome.code == 0, outcome.err
    store = CountingStore(path)
    opened, done = open_index(tmp_path / "i", store, queries(), asked)
    rows = store.rows_read
    assert len(store) == 17 and 0 < rows < 17 * 40, (rows, done)
    assert opened.dead == 0 and "added" in done and "taken out" in done
    check(opened, store, level, tmp_path / "fresh-1")
