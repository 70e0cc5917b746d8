"""A FAISS index finds what an exact search finds if all is looked at, and serves only the store that it was made of."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from order_world import tiny_fingerprint
from stores import video

from featx.evaluate.search.exact import open_scans, search_exactly
from featx.evaluate.search.settings import SearchSettings
from featx.store.reader import FeatureStore
from featx.store.schema import VideoFacts
from featx.store.writer import StoreWriter

pytest.importorskip("faiss")
LENGTHS = [300, 20, 450, 1, 700, 256]


def write(path: Path, videos: range) -> None:
    made = tiny_fingerprint()
    with StoreWriter(path, made, model_source="tiny", shard_bytes=60_000) as writer:
        for number in videos:
            rows = video(LENGTHS[number], number, made.width)
            writer.add(f"{number}.mp4", rows, VideoFacts("x", 1, 1, 64, 64, 1.0))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write(tmp_path / "s", range(5))
    return tmp_path / "s"


@pytest.mark.parametrize("level", ["frames", "moments", "videos"])
def test_with_all_cells_it_is_an_exact_search(store: Path, tmp_path: Path, level: str) -> None:
    from featx.evaluate.search.index import open_index

    opened = FeatureStore(store)
    settings = SearchSettings(level=level, probe=10**6, windows=[0.5, 1, 2])
    queries = torch.nn.functional.normalize(torch.randn(5, opened.header.fingerprint.width), dim=1)
    index, made = open_index(tmp_path / "i", opened, queries, settings)
    assert made and not open_index(tmp_path / "i", opened, queries, settings)[1]
    exact = search_exactly(open_scans(opened, settings), queries, 10, settings)
    for one, other in zip(exact, index.search(queries, 10, settings), strict=True):
        # half precision may swap neighbours of nearly equal scores
        assert [find.score for find in one] == pytest.approx([find.score for find in other], abs=2e-4)
        assert (
            len({(f.video, f.first_row) for f in one} & {(f.video, f.first_row) for f in other})
            >= len(one) - 1
        )
    assert index.header.recall[max(index.header.recall)] > 0.97
    assert index.header.recall_asked[max(index.header.recall)] > 0.97 and index.header.asked == 5
    recalls = list(index.header.recall.values())
    assert recalls == sorted(recalls)


def test_the_command_makes_it_once_and_reports_its_recall(store: Path, tmp_path: Path, featx) -> None:
    base = ["search", store, "a star", "--index", tmp_path / "i", "--level", "frames", "--format", "json"]
    first, second = featx(*base), featx(*base)
    assert first.code == second.code == 0, first.err
    assert "made in" in first.err and "made in" not in second.err
    for outcome in (first, second):
        assert "of the exact 10 best of 100 of its own vectors it found" in outcome.err
    assert json.loads(first.out)["queries"] == json.loads(second.out)["queries"]
    exact = json.loads(featx("search", store, "a star", "--level", "frames", "--format", "json").out)
    assert (
        exact["queries"][0]["finds"][0]["video"] == json.loads(first.out)["queries"][0]["finds"][0]["video"]
    )


def test_it_is_refused_when_the_store_has_changed(store: Path, tmp_path: Path, featx) -> None:
    base = ["search", store, "a star", "--index", tmp_path / "i", "--level", "frames"]
    assert featx(*base).code == 0
    outcome = featx("search", store, "a star", "--index", tmp_path / "i", "--level", "videos")
    assert outcome.code == 2 and "made with --level frames; give that too" in outcome.err
    write(store, range(5, 6))
    outcome = featx(*base)
    assert outcome.code == 2 and "has changed since it was made (shards: 1 new, 0 gone)" in outcome.err
    other = tmp_path / "other"
    with StoreWriter(other, tiny_fingerprint(sampling="fps 2"), model_source="tiny") as writer:
        rows = video(20, 0, tiny_fingerprint().width)
        writer.add("a", rows, VideoFacts("x", 1, 1, 64, 64, 1.0))
    outcome = featx("search", other, "a star", "--index", tmp_path / "i", "--level", "frames")
    assert outcome.code == 2 and "made of other features (sampling: every frame, not fps 2)" in outcome.err


def test_damage_and_strangers_are_one_line(store: Path, tmp_path: Path, featx, monkeypatch) -> None:
    base = ["search", store, "a star", "--index", tmp_path / "i"]
    (tmp_path / "i").mkdir()
    outcome = featx(*base)
    assert outcome.code == 2 and "not an index of featx search" in outcome.err
    (tmp_path / "i").rmdir()
    assert featx(*base).code == 0
    for name in ("index.faiss", "units.npz"):
        whole = (tmp_path / "i" / name).read_bytes()
        (tmp_path / "i" / name).write_bytes(whole[:60])
        outcome = featx(*base)
        assert outcome.code == 2 and "damaged" in outcome.err and outcome.err.count("\n") == 1, outcome.err
        (tmp_path / "i" / name).write_bytes(whole)
    assert featx(*base).code == 0
    monkeypatch.setitem(sys.modules, "faiss", None)
    outcome = featx(*base)
    assert outcome.code == 2
    assert outcome.err == "featx: --index: needs FAISS: pip install 'featx[search]'\n"


def test_units_are_those_of_the_whole_store(store: Path, tmp_path: Path) -> None:
    from featx.evaluate.search.index import open_index

    opened = FeatureStore(store)
    index, _ = open_index(
        tmp_path / "i", opened, torch.eye(opened.header.fingerprint.width)[:1], SearchSettings(level="videos")
    )
    assert [opened.index.ids[number] for number in index.units.video] == opened.index.ids
    assert index.units.rows.tolist() == [opened.rows(one) for one in opened]
    assert (index.units.first_row == 0).all()
    np.testing.assert_array_equal(index.units.start_s, 0.0)
