"""An index of files says what the records say: after any additions, drops and renames, in a folder and at a URL."""

import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from object_servers import KEYS, make_bucket, moto_server
from stores import assert_equal, fingerprint, make_store, numbered, video, video_info

from featx.errors import FeatxError
from featx.files.checksummed_json import Damaged
from featx.store import snapshot_columns as arrays
from featx.store.backends.open import open_backend
from featx.store.index import StoreIndex, read_header
from featx.store.reader import FeatureStore
from featx.store.snapshot import SnapshotIndex, open_index
from featx.store.upkeep.compact import compact
from featx.store.upkeep.index import index_store
from featx.store.upkeep.info import describe
from featx.store.writing.writer import StoreWriter


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))


def assert_says_what_records_say(path: Path) -> StoreIndex:
    header = read_header(path)
    ours, records = open_index(path, header), StoreIndex(path, header)
    assert isinstance(ours, SnapshotIndex)
    assert list(ours.ids) == list(records.ids) and ours.ids[1:3] == records.ids[1:3]
    for name in arrays.NUMBERS:
        np.testing.assert_array_equal(getattr(ours, name), getattr(records, name))
    assert dict(ours.number_of) == dict(records.number_of) and len(ours.number_of) == len(records.ids)
    assert "nowhere" not in ours.number_of and ours.number_of.get("nowhere") is None
    assert [ours.entry(n) for n in range(len(ours.ids))] == [records.entry(n) for n in range(len(ours.ids))]
    assert list(ours.shards) == list(records.shards) and ours.dropped.tolist() == records.dropped.tolist()
    assert ours.live.updates == records.live.updates and ours.live.root_moves == records.live.root_moves
    assert ours.live.root_set_in == records.live.root_set_in
    return ours


NAMES = [f"{folder}/{number}.mp4" for folder in ("a", "ä\udcff") for number in range(6)]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(NAMES)),
        st.tuples(st.just("drop"), st.sampled_from(NAMES)),
        st.tuples(st.just("rename"), st.sampled_from(NAMES)),
        st.tuples(st.just("move root"), st.just("")),
        st.tuples(st.just("index"), st.just("")),
        st.tuples(st.just("open"), st.just("")),
    ),
    max_size=25,
)


def step(path: Path, what: str, name: str, number: int) -> None:
    with StoreWriter(path, fingerprint(), "hdf5") as writer:
        if what == "add" and name not in writer.done:
            writer.add(name, video(2 + number, number), video_info(name))
        elif what == "drop" and name in writer.done:
            writer.amend(drops=[name])
        elif what == "rename" and name in writer.done:
            free = next((one for one in NAMES if one not in writer.done), None)
            writer.amend(updates={name: {"root": f"/r{number}"} | ({"id": free} if free else {})})
        elif what == "move root":
            writer.amend(root_moves=[(f"/r{number - 1}", f"/s{number}")])
    if what == "index":
        index_store(path)


@settings(deadline=None, max_examples=30)
@given(some=steps)
def test_it_says_what_records_say_after_any_steps(some: list[tuple[str, str]]) -> None:
    place = Path(tempfile.mkdtemp())
    path = place / "s"
    try:
        step(path, "add", NAMES[0], 0)
        index_store(path)
        for number, (what, name) in enumerate(some, 1):
            step(path, what, name, number)
            if what == "open":
                assert_says_what_records_say(path)
        assert_says_what_records_say(path)
    finally:
        shutil.rmtree(place)


def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    path = make_store(tmp_path / "s", numbered([3, 4]), shard_bytes=1)
    made, read = index_store(path)
    assert (made.videos, read) == (2, 2)
    with StoreWriter.of(path) as writer:
        writer.add("new", video(5, 9), video_info("new"))
    assert index_store(path)[1] == 1 and index_store(path)[1] == 0
    assert len([*(path / "index").iterdir()]) == 1  # columns of earlier ones are removed
    assert_says_what_records_say(path)


def test_records_that_were_replaced_are_all_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_store(tmp_path / "s", numbered([3, 4, 5]))
    with StoreWriter.of(path) as writer:
        writer.amend(drops=["folder/1.mp4"])
    index_store(path)
    compact(path)
    store = FeatureStore(path)
    assert not isinstance(store.index, SnapshotIndex) and len(store) == 2
    assert "records have changed since its index was made" in capsys.readouterr().err
    index_store(path)
    assert_says_what_records_say(path)


def test_two_ids_of_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from featx.store import snapshot_build as build

    for module in (arrays, build):
        monkeypatch.setattr(module, "hash_of", lambda id_bytes: 7 << 60)
    path = make_store(tmp_path / "s", numbered([3, 4, 5]))
    index_store(path)
    assert_says_what_records_say(path)


def test_a_damaged_index_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    path = make_store(tmp_path / "s", numbered([3, 4]))
    made, _ = index_store(path)
    column = arrays.column_file(path, made, "rows")
    column.write_bytes(column.read_bytes()[:-1])
    with pytest.raises(Damaged, match=r"rows\.bin.*featx store index makes it anew"):
        FeatureStore(path)
    index_store(path)
    (path / "index.json").write_bytes(b"x")
    with pytest.raises(FeatxError, match="index.json"):
        FeatureStore(path)
    index_store(path)
    assert_says_what_records_say(path)


def test_what_is_kept_here_of_an_index_is_made_again_if_it_is_damaged(tmp_path: Path) -> None:
    path = make_store(tmp_path / "s", numbered([3, 4]))
    index_store(path)
    with StoreWriter.of(path) as writer:
        writer.add("new", video(5, 9), video_info("new"))
    assert_says_what_records_say(path)
    (kept,) = (tmp_path / "cache" / "indexes").iterdir()
    (kept / "index.json").write_bytes(b"x")
    assert_says_what_records_say(path)


def test_rows_are_read_and_pickles_are_small(tmp_path: Path) -> None:
    videos = numbered([3, 300, 5])
    path = make_store(tmp_path / "s", videos, shard_bytes=1)
    index_store(path)
    store = pickle.loads(pickle.dumps(FeatureStore(path)))
    assert isinstance(store.index, SnapshotIndex)
    assert len(pickle.dumps(store)) < 2000 + 200 * len(store.index.shards)
    for name, one in videos.items():
        assert_equal(store[name], one)
    assert [video_id for video_id, *_ in store.videos()] == list(videos)
    assert store.video_info(["folder/1.mp4"])["folder/1.mp4"] == video_info("folder/1.mp4")
    assert sum(len(stretch) for stretch in store.stretches()) == 308


def test_at_a_url_only_the_records_are_fetched_that_rows_are_read_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = numbered([3, 4, 5, 6])
    path = make_store(tmp_path / "s", videos, shard_bytes=1)
    with moto_server() as address:
        for name, value in (KEYS | {"AWS_ENDPOINT_URL": address}).items():
            monkeypatch.setenv(name, value)
        make_bucket(address, "bucket")
        url = "s3://bucket/store"
        backend = open_backend(url)
        for file in sorted(path.rglob("*")):
            if file.is_file():
                backend.put(file.relative_to(path).as_posix(), file.read_bytes())
        assert index_store(Path(url))[0].videos == 4
        monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "another"))
        store = FeatureStore(Path(url))
        assert isinstance(store.index, SnapshotIndex)
        assert_equal(store["folder/2.mp4"], videos["folder/2.mp4"])
        assert len([*(store.path / "shards").glob("*.json")]) == 1
        assert store.index.failures == {} and describe(Path(url))["videos"] == 4  # of these all are fetched
        assert len([*(store.path / "shards").glob("*.json")]) == 4
        with StoreWriter.of(path) as writer:
            writer.add("new", video(5, 9), video_info("new"))
        backend.put("shards/shard-00004.json", (path / "shards/shard-00004.json").read_bytes())
        assert list(FeatureStore(Path(url))) == [*videos, "new"]
        assert index_store(Path(url))[1] == 1
        assert list(FeatureStore(Path(url))) == [*videos, "new"]
        assert len([*(store.path / "index").iterdir()]) == 1  # what was fetched of the earlier one is removed
