"""What later records say of videos in a store: any sequence of changes reads as it does in plain Python."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stores import FORMATS, assert_equal, fingerprint, make_store, numbered, video, video_info

from featx.errors import FeatxError
from featx.store.failures import Failure, FailureList
from featx.store.index import read_record
from featx.store.reader import FeatureStore
from featx.store.schema import VideoFeatures, VideoInfo, record_path
from featx.store.upkeep.compact import compact
from featx.store.upkeep.copies import convert, merge
from featx.store.upkeep.verify import verify
from featx.store.writing.writer import StoreWriter

IDS = [f"v{number}" for number in range(8)]
ROOTS = ["/one", "/two", "/three"]


@dataclasses.dataclass
class Model:
    """A store as a reader should see it."""

    videos: dict[str, tuple[VideoFeatures, VideoInfo]] = dataclasses.field(default_factory=dict)
    made: int = 0

    def new(self, video_id: str, root: str) -> tuple[VideoFeatures, VideoInfo]:
        self.made += 1
        about = dataclasses.replace(video_info(video_id), root=root, mtime_ns=self.made)
        self.videos[video_id] = (video(1 + self.made * 37 % 300, self.made), about)
        return self.videos[video_id]


some_ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), some_ids, st.sampled_from(ROOTS)),
        st.tuples(st.just("replace"), some_ids, st.sampled_from(ROOTS)),
        st.tuples(st.just("drop"), some_ids, st.none()),
        st.tuples(st.just("rename"), some_ids, st.permutations(IDS)),
        st.tuples(st.just("touch"), some_ids, st.sampled_from(ROOTS)),
        st.tuples(st.just("move root"), st.sampled_from(ROOTS), st.sampled_from(ROOTS)),
        st.tuples(st.just("compact"), st.none(), st.none()),
    ),
    min_size=1,
    max_size=12,
)


def do(writer: StoreWriter, model: Model, what: str, which, to) -> None:
    here = [video_id for video_id in which or [] if video_id in model.videos]
    if what == "add":
        for video_id in set(which) - set(here):
            writer.add(video_id, *model.new(video_id, to))
        writer.commit()
    elif what == "replace":
        for video_id in which:
            writer.add(video_id, *model.new(video_id, to), replaces=True)
    elif what == "drop":
        writer.amend(drops=here)
        for video_id in here:
            del model.videos[video_id]
    elif what == "rename":
        # Some of them swap their ids among each other, others get free ones.
        free = [video_id for video_id in to if video_id not in model.videos or video_id in here]
        new_ids = dict(zip(here, free, strict=False))
        gone = [new for new in new_ids.values() if new in model.videos and new not in here]
        assert not gone
        writer.amend(updates={old: {"id": new, "path": new} for old, new in new_ids.items()})
        moved = {new: model.videos.pop(old) for old, new in new_ids.items()}
        model.videos |= {
            new: (rows, dataclasses.replace(about, path=new)) for new, (rows, about) in moved.items()
        }
    elif what == "touch":
        writer.amend(updates={video_id: {"mtime_ns": 7, "root": to} for video_id in here})
        for video_id in here:
            rows, about = model.videos[video_id]
            model.videos[video_id] = rows, dataclasses.replace(about, mtime_ns=7, root=to)
    elif what == "move root":
        writer.amend(root_moves=[(which, to)])
        for video_id, (rows, about) in model.videos.items():
            if about.root == which:
                model.videos[video_id] = rows, dataclasses.replace(about, root=to)


def assert_reads_as(path: Path, model: Model) -> None:
    store = FeatureStore(path)
    assert set(store) == set(model.videos) and len(store) == len(model.videos)
    seen = {}
    for video_id, rows, about in store.videos():
        assert_equal(rows, model.videos[video_id][0])
        assert about == model.videos[video_id][1]
        seen[video_id] = rows
    assert list(seen) == list(store) and len(seen) == len(model.videos)
    assert store.video_info(list(seen)) == {video_id: model.videos[video_id][1] for video_id in seen}
    for video_id in seen:
        assert_equal(store[video_id], model.videos[video_id][0])
    if seen:
        expected = np.concatenate([model.videos[video_id][0].features for video_id in seen])
        np.testing.assert_array_equal(store.load(list(seen)).features, expected)
    listed, pts, features = [], [np.zeros(0)], [np.zeros((0, 8), np.float16)]
    for stretch in store.stretches():
        listed += stretch.ids
        pts.append(store.pts_of(stretch))
        features += store.blocks(stretch)
        assert np.diff(stretch.offsets).tolist() == [store.rows(video_id) for video_id in stretch.ids]
    assert listed == list(store)
    np.testing.assert_array_equal(
        np.concatenate(pts), np.concatenate([np.zeros(0)] + [v.pts for v in seen.values()])
    )
    np.testing.assert_array_equal(
        np.concatenate(features), np.concatenate([features[0]] + [v.features for v in seen.values()])
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.booleans())
def test_any_changes_read_as_in_plain_python(
    tmp_path_factory: pytest.TempPathFactory, steps: list, reopen: bool
) -> None:
    path = tmp_path_factory.mktemp("changes") / "s"
    model = Model()
    writer = StoreWriter(path, fingerprint(), "hdf5")
    for what, which, to in steps:
        if what == "compact" or reopen:
            writer.__exit__(None, None, None)
            if what == "compact":
                compact(path)
                assert not FeatureStore(path).index.dropped.any()
            writer = StoreWriter(path, fingerprint(), "hdf5")
        if what != "compact":
            do(writer, model, what, which, to)
        assert set(writer.done) == set(model.videos)
        if what != "replace":  # those may still wait
            assert_reads_as(path, model)
    writer.__exit__(None, None, None)
    assert_reads_as(path, model)
    assert verify(path).findings == []
    with StoreWriter(path, fingerprint(), "hdf5") as again:
        assert set(again.done) == set(model.videos)
        kept = again.index.video_info
        for number, video_id in enumerate(again.index.ids):
            about = model.videos[video_id][1]
            assert [kept[name][number] for name in kept] == [getattr(about, name) for name in kept]
    shutil.rmtree(path.parent)


@pytest.mark.parametrize("format", FORMATS)
def test_compaction_gives_back_room_and_changes_no_bit(tmp_path: Path, format: str, featx) -> None:
    videos = numbered([300, 20, 700, 5, 40])
    path = make_store(tmp_path / "s", videos, format, shard_bytes=8000)
    assert featx("store", "remove", path, "folder/0.mp4", "folder/4.mp4").code == 0
    figures = json.loads(featx("store", "info", path, "--json").out)
    assert (figures["videos"], figures["dropped_videos"], figures["dropped_bytes"]) == (3, 2, 340 * 28)
    assert "2 videos; featx store compact gives back" in featx("store", "info", path).out
    before = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    outcome = featx("store", "compact", path)
    assert outcome.code == 0 and "MB given back" in outcome.out
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) < before
    store = FeatureStore(path)
    assert set(store) == {"folder/1.mp4", "folder/2.mp4", "folder/3.mp4"}
    for video_id in store:
        assert_equal(store[video_id], videos[video_id])
    assert featx("store", "verify", path).code == 0
    assert "0.0 MB given back; 0 videos of 0 shards" in featx("store", "compact", path).out


class Stopped(BaseException):
    pass


def test_a_compaction_that_is_killed_anywhere_loses_nothing(tmp_path: Path, monkeypatch) -> None:
    """At every change of a file: the store reads the same, and the next compaction finishes the work."""
    videos = numbered([30, 20, 10, 25, 20])
    original = make_store(tmp_path / "original", videos, "hdf5", shard_bytes=900)
    with StoreWriter.of(original) as writer:
        writer.amend(drops=["folder/0.mp4"], updates={"folder/3.mp4": {"id": "new", "path": "new"}})
        writer.amend(drops=["folder/4.mp4"])
    expected = {"folder/1.mp4": 1, "folder/2.mp4": 2, "new": 3}
    done = shutil.copytree(original, tmp_path / "done")
    compact(done)
    calls = 0
    stop_at = 10**9

    def counted(function):
        def call(*args, **options):
            nonlocal calls
            calls += 1
            if calls > stop_at:
                raise Stopped
            return function(*args, **options)

        return call

    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    for name in ("replace", "rename", "unlink", "write_bytes"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    moments = 0
    while True:
        path = tmp_path / f"killed-{moments}"
        calls, stop_at = 0, 10**9
        shutil.copytree(original, path)
        calls, stop_at = 0, moments
        try:
            compact(path)
        except Stopped:
            pass
        else:
            break
        finally:
            stop_at = 10**9
        store = FeatureStore(path)
        assert {video_id: store.rows(video_id) for video_id in store} == {
            video_id: len(videos[f"folder/{number}.mp4"]) for video_id, number in expected.items()
        }
        compact(path)
        store = FeatureStore(path)
        assert set(store) == set(expected) and not store.index.dropped.any()
        for video_id, number in expected.items():
            assert_equal(store[video_id], videos[f"folder/{number}.mp4"])
        assert verify(path).findings == []
        shutil.rmtree(path)
        moments += 1
    assert moments > 20


def test_repair_keeps_what_a_lost_shard_said_of_others(tmp_path: Path, featx) -> None:
    path = make_store(tmp_path / "s", numbered([20, 30]), shard_bytes=1)
    with StoreWriter.of(path) as writer:
        writer.add(
            "folder/0.mp4", video(25, 9), video_info("again"), replaces=True
        )  # in shard 2, with a drop
    (path / "shards/shard-00002.zarr/features/c/0/0").unlink()
    assert featx("store", "verify", path, "--repair").code == 4
    assert list(FeatureStore(path)) == ["folder/1.mp4"]  # and not the rows of before
    assert verify(path).findings == []
    record = record_path(path, "shard-00002")
    assert [entry.shard for entry in read_record(record).drops] == ["shard-00000"]
    record.write_text("lost")
    outcome = featx("store", "verify", path, "--repair")
    assert "If the 1 lost records said that videos were dropped or renamed, those are back" in outcome.err
    assert list(FeatureStore(path)) == ["folder/0.mp4", "folder/1.mp4"]
    assert verify(path).findings == []


def test_a_record_that_speaks_of_what_is_not_there_is_found(tmp_path: Path) -> None:
    path = make_store(tmp_path / "s", numbered([20, 30]))
    with StoreWriter.of(path) as writer:
        writer.index.live.recorded_ids[0] = "another"
        writer.amend(drops=["folder/0.mp4"])
    with pytest.raises(
        FeatxError, match="it speaks of video 'another' at 0 of shard-00000, which has another"
    ):
        FeatureStore(path)
    (finding,) = verify(path, repair=True).findings
    assert finding.drop == 1 and "speaks of video 'another'" in finding.problem
    assert verify(path).findings == [] and len(FeatureStore(path)) == 2


def test_an_older_featx_would_refuse_such_a_store(tmp_path: Path) -> None:
    path = make_store(tmp_path / "s", numbered([20]))
    with StoreWriter.of(path) as writer:
        writer.amend(drops=["folder/0.mp4"])
    assert json.loads((path / "shards/shard-00001.json").read_text())["featx_shard"] == 2  # it reads 1 only


def test_two_videos_never_get_one_id(tmp_path: Path) -> None:
    path = make_store(tmp_path / "s", numbered([20, 30]))
    with StoreWriter.of(path) as writer:
        with pytest.raises(FeatxError, match="cannot call video 'folder/0.mp4' 'folder/1.mp4': there is one"):
            writer.amend(updates={"folder/0.mp4": {"id": "folder/1.mp4"}})
        with pytest.raises(FeatxError, match="no video 'folder/7.mp4'; did you mean"):
            writer.amend(drops=["folder/7.mp4"])
    assert verify(path).findings == [] and len(list(path.glob("shards/*.json"))) == 1


def test_remove_does_nothing_if_one_id_is_unknown(tmp_path: Path, featx) -> None:
    path = make_store(tmp_path / "s", numbered([20, 30]))
    FailureList(path).record(Failure("bad.mp4", "bad.mp4", "open", "no", "nothing", []))
    outcome = featx("store", "remove", path, "folder/0.mp4", "folder/l.mp4")
    assert outcome.code == 2 and "no video 'folder/l.mp4'; did you mean 'folder/" in outcome.err
    assert len(FeatureStore(path)) == 2
    outcome = featx("store", "remove", path, "folder/0.mp4", "bad.mp4")
    assert outcome.code == 0 and "1 videos removed" in outcome.out and "1 failures struck off" in outcome.out
    assert list(FeatureStore(path)) == ["folder/1.mp4"] and not FailureList(path).ids


def store_of_folder(store: Path, folder: Path, names: list[str], known: bool = True) -> Path:
    with StoreWriter(store, fingerprint()) as writer:
        for number, name in enumerate(names):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(name.encode())
            about = VideoInfo(name if known else str(folder / name), 1, 2, None, None, None)
            about = dataclasses.replace(about, root=os.path.realpath(folder) if known else None)
            writer.add(name, video(5, number), about)
    return store


def test_prune_removes_what_is_gone_and_nothing_else(tmp_path: Path, featx) -> None:
    folder, other = tmp_path / "videos", tmp_path / "other"
    path = store_of_folder(tmp_path / "s", folder, ["a.mp4", "b/c.mp4", "b/d.mp4"])
    store_of_folder(path, other, ["x.mp4", "y.mp4"])
    for file in (folder / "a.mp4", folder / "b/c.mp4", other / "x.mp4"):
        file.unlink()
    listed = featx("store", "prune", path, "--dry-run")
    assert listed.code == 0 and "3 of 5 videos would be removed" in listed.out
    assert listed.out.count("gone: ") == 3 and len(FeatureStore(path)) == 5
    below = featx("store", "prune", path, folder / "b")
    assert "removed: b/c.mp4" in below.out and "1 of 2 videos removed" in below.out
    assert set(FeatureStore(path)) == {"a.mp4", "b/d.mp4", "x.mp4", "y.mp4"}
    (other / "y.mp4").unlink()  # as if its disk were not mounted
    refused = featx("store", "prune", path)
    assert refused.code == 2 and f"{other}: missing or empty (a disk that is not mounted?)" in refused.err
    assert len(FeatureStore(path)) == 4
    assert "2 of 2 videos removed" in featx("store", "prune", path, other).out
    assert set(FeatureStore(path)) == {"a.mp4", "b/d.mp4"}
    folder.rename(tmp_path / "moved")
    assert featx("store", "prune", path).code == 2
    assert featx("store", "prune", path, other).code == 2
    assert "1 of 2 videos removed" in featx("store", "prune", path, tmp_path / "moved").out
    assert list(FeatureStore(path)) == ["b/d.mp4"] and verify(path).findings == []


def test_prune_of_a_store_that_knows_no_folder(tmp_path: Path, featx) -> None:
    folder = tmp_path / "videos"
    path = store_of_folder(tmp_path / "s", folder, ["a.mp4", "b.mp4"], known=False)
    (folder / "a.mp4").unlink()
    refused = featx("store", "prune", path)
    assert refused.code == 2 and "does not know the folder of its videos" in refused.err
    assert featx("store", "prune", path, tmp_path / "wrong").code == 0 or True
    assert "1 of 2 videos removed" in featx("store", "prune", path, folder).out or list(
        FeatureStore(path)
    ) == ["b.mp4"]


def test_stores_of_both_versions(tmp_path: Path, featx) -> None:
    """A copy keeps what times mean; stores that mean different things by them are not merged."""
    late = dataclasses.replace(video_info("late"), start_s=10.0)
    rows = dataclasses.replace(video(5, 1), pts=10 + np.arange(5) / 25)
    for version in (1, 2):
        with StoreWriter(tmp_path / str(version), fingerprint(), schema_version=version) as writer:
            writer.add(f"late-{version}", rows, late)
    old, new = (FeatureStore(tmp_path / str(version)) for version in (1, 2))
    np.testing.assert_allclose(old.pts("late-1"), np.arange(5) / 25)
    np.testing.assert_array_equal(new.pts("late-2"), rows.pts)
    convert(tmp_path / "1", tmp_path / "copy", "hdf5")
    copy = FeatureStore(tmp_path / "copy")
    assert copy.header.featx_store == 1
    np.testing.assert_array_equal(copy.pts("late-1"), old.pts("late-1"))
    with StoreWriter.of(tmp_path / "1") as writer:
        writer.add("more", rows, late)
        writer.amend(drops=["late-1"])
    compact(tmp_path / "1")
    assert_equal(FeatureStore(tmp_path / "1")["more"], dataclasses.replace(rows, pts=rows.pts - 10))
    assert FeatureStore(tmp_path / "1").header.featx_store == 1
    with pytest.raises(
        FeatxError, match="/1: its times count from the start of each video, those of .*/2 are"
    ):
        merge([tmp_path / "2", tmp_path / "1"], tmp_path / "both")


def test_failures_can_be_accepted(tmp_path: Path, featx) -> None:
    path = make_store(tmp_path / "s", numbered([20]))
    failures = FailureList(path)
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"bad")
        failures.record(Failure(name, str(tmp_path / name), "open", "no", "nothing", []))
    outcome = featx("store", "accept-failures", path, "ono")
    assert outcome.code == 2 and "no failure of a video 'ono'; did you mean 'one'?; nothing" in outcome.err
    assert "accepted: one: no" in featx("store", "accept-failures", path, "one").out
    assert FailureList(path).accepted == ["one"]
    assert "2 failed (1 accepted)" in featx("store", "info", path).out
    assert "2 accepted failures, 0 others" in featx("store", "accept-failures", path).out
    assert "0 accepted failures, 2 others" in featx("store", "accept-failures", path, "--undo").out
