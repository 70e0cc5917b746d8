"""A FAISS index finds what an exact search finds if all is looked at, and serves only the store that it was made of."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from stores import video
from synthetic import tiny_fingerprint

from featx.errors import FeatxError
from featx.evaluate.search.exact.search import open_scans, search_exactly
from featx.evaluate.search.exact.settings import SearchSettings
from featx.store.reader import FeatureStore
from featx.store.schema import VideoInfo
from featx.store.writing.writer import StoreWriter

pytest.importorskip("faiss")
LENGTHS = [300, 20, 450, 1, 700, 256]


def write(path: Path, videos: range) -> None:
    made = tiny_fingerprint()
    with StoreWriter(path, made, model_source="tiny", shard_bytes=60_000) as writer:
        for number in videos:
            rows = video(LENGTHS[number], number, made.width)
            writer.add(f"{number}.mp4", rows, VideoInfo("x", 1, 1, 64, 64, 1.0))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write(tmp_path / "s", range(5))
    return tmp_path / "s"


@pytest.mark.parametrize("level", ["frames", "moments", "videos"])
def test_with_all_cells_it_is_an_exact_search(store: Path, tmp_path: Path, level: str) -> None:
    from featx.evaluate.search.index.search import open_index

    opened = FeatureStore(store)
    settings = SearchSettings(level=level, probe=10**6, windows=[0.5, 1, 2])
    queries = torch.nn.functional.normalize(torch.randn(5, opened.header.fingerprint.width), dim=1)
    index, made = open_index(tmp_path / "i", opened, queries, settings)
    assert made and not open_index(tmp_path / "i", opened, queries, settings)[1]
    exact = search_exactly(open_scans(opened, settings), queries, 10, settings)
    for one, other in zip(exact, index.search(queries, 10, settings), strict=True):
        # half precision may swap neighbours of nearly equal scores
        assert [hit.score for hit in one] == pytest.approx([hit.score for hit in other], abs=2e-4)
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


def test_it_is_refused_for_anything_else(store: Path, tmp_path: Path, featx) -> None:
    base = ["search", store, "a star", "--index", tmp_path / "i", "--level", "frames"]
    assert featx(*base).code == 0
    before = contents(tmp_path / "i")
    outcome = featx("search", store, "a star", "--index", tmp_path / "i", "--level", "videos")
    assert outcome.code == 2 and "made with --level frames; give that too" in outcome.err
    features = tiny_fingerprint(sampling="fps 2")
    for made, reason in (
        (features, "made of other features (sampling: every frame, not fps 2)"),
        (tiny_fingerprint(), "made of another store (created 20"),
    ):
        other = tmp_path / made.sampling
        with StoreWriter(other, made, model_source="tiny") as writer:
            writer.add("0.mp4", video(300, 0, made.width), VideoInfo("x", 1, 1, 64, 64, 1.0))
        outcome = featx("search", other, "a star", "--index", tmp_path / "i", "--level", "frames")
        assert outcome.code == 2 and reason in outcome.err and outcome.err.count("\n") == 1
    assert contents(tmp_path / "i") == before
    shutil.copytree(store, tmp_path / "copy")
    outcome = featx("search", tmp_path / "copy", "a star", "--index", tmp_path / "i", "--level", "frames")
    assert outcome.code == 0 and contents(tmp_path / "i") == before


def test_strangers_are_one_line(store: Path, tmp_path: Path, featx, monkeypatch) -> None:
    folder = tmp_path / "i"
    base = ["search", store, "a star", "--index", folder]
    folder.mkdir()
    (folder / "holiday.jpg").write_text("x")
    (folder / "index.faiss").write_text("x")
    outcome = featx(*base)
    assert outcome.code == 2 and "not an index of featx search (it holds 'holiday.jpg')" in outcome.err
    (folder / "index.json").write_text(json.dumps({"featx_search_index": 1, "shards": {}}))
    outcome = featx(*base)
    assert outcome.code == 2 and "layout version 1; this featx reads version 2: remove" in outcome.err
    assert (folder / "holiday.jpg").exists()
    outcome = featx("search", store, "a star", "--index", folder / "index.faiss")
    assert outcome.code == 2 and "not an index of featx search" in outcome.err
    shutil.rmtree(folder)
    folder.mkdir()  # empty: one is made there
    assert featx(*base).code == 0
    monkeypatch.setitem(sys.modules, "faiss", None)
    outcome = featx(*base)
    assert outcome.code == 2
    assert outcome.err == "featx: --index: needs FAISS: pip install 'featx[search]'\n"


@pytest.mark.parametrize("level", ["frames", "moments"])
def test_damage_is_an_error_or_changes_nothing(store: Path, tmp_path: Path, level: str) -> None:
    from featx.evaluate.search.index.search import open_index

    opened, folder = FeatureStore(store), tmp_path / "i"
    width = opened.header.fingerprint.width
    queries = torch.nn.functional.normalize(torch.randn(2, width, generator=torch.manual_seed(3)), dim=1)

    def found(probe: int) -> list:
        settings = SearchSettings(level=level, probe=probe, windows=[0.5, 1, 2])
        return open_index(folder, opened, queries, settings)[0].search(queries, 10, settings)

    right = {probe: found(probe) for probe in (1, 10**6)}
    rng = np.random.default_rng(0)
    refused = 0
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        if file.name == "lock":
            continue
        flips = [bytearray(whole) for _ in range(30)]
        for flip in flips:
            flip[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        begin = len(whole) // 3
        garbage = whole[:begin] + rng.bytes(2000) + whole[begin + 2000 :]
        zeros = whole[:begin] + bytes(2000) + whole[begin + 2000 :]
        for content in (*flips, garbage, zeros, whole[:60], whole[:-1], whole + b"x", b"", None):
            file.unlink(missing_ok=True)
            if content is not None:
                file.write_bytes(content)
            for probe in right:
                if file.name == "index.json" and content is None:
                    continue  # then none was made here yet
                try:
                    assert found(probe) == right[probe]
                except FeatxError as error:
                    refused += 1
                    assert file.name in str(error) and "is made again" in str(error), error
                else:
                    assert probe == 1 and content is not None, (
                        "with all cells looked at nothing goes unnoticed"
                    )
        file.write_bytes(whole)
    assert refused > 150
    assert all(found(probe) == hits for probe, hits in right.items())


def test_units_are_those_of_the_whole_store(store: Path, tmp_path: Path) -> None:
    from featx.evaluate.search.index.search import open_index

    opened = FeatureStore(store)
    index, _ = open_index(
        tmp_path / "i", opened, torch.eye(opened.header.fingerprint.width)[:1], SearchSettings(level="videos")
    )
    assert [opened.index.ids[number] for number in index.stored.candidates.video] == opened.index.ids
    assert index.stored.candidates.rows.tolist() == [opened.rows(one) for one in opened]
    assert (index.stored.candidates.first_row == 0).all()
    np.testing.assert_array_equal(index.stored.candidates.start_s, 0.0)
