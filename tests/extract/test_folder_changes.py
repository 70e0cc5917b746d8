"""What has become of a folder since a store was made of it, and what the command says and does about it."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest
from living_folder import FINGERPRINT, QuickWorkerPool, make_clips

from featx.clip.preprocess import Preprocessing
from featx.errors import FeatxError
from featx.extract import run as run_module
from featx.extract.plan import todo as todo_module
from featx.extract.plan.videos import SourceVideo, find_videos
from featx.extract.workers.decoder_pool import PictureOptions, VideoEnd, decode_video
from featx.store.folder_changes import FoundFile, StoredFile, compare
from featx.store.reader import FeatureStore
from featx.store.source_files import FileState, content_sha256, source_file
from featx.store.upkeep.verify import verify


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return make_clips(tmp_path_factory.mktemp("clips"), 4)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "WorkerPool", QuickWorkerPool)
    monkeypatch.setattr(QuickWorkerPool, "options", PictureOptions(Preprocessing(32)))


def found_in(folder: Path) -> list[FoundFile]:
    return [video.found() for video in find_videos([folder]).videos]


def as_stored(files: list[FoundFile], known: bool = True) -> dict[str, StoredFile]:
    return {
        each.id: StoredFile(
            each.id, each.path, each.root, each.state, True, content_sha256(each.file) if known else None
        )
        for each in files
    }


def fill(folder: Path, **contents: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.mp4").write_text(content)
    return folder


def later(file: Path, seconds: int = 10) -> None:
    time = file.stat().st_mtime_ns + seconds * 10**9
    os.utime(file, ns=(time, time))


def test_nothing_has_changed(tmp_path: Path) -> None:
    stored = as_stored(found_in(fill(tmp_path / "v", a="1", b="2")))
    changes = compare(found_in(tmp_path / "v"), stored, {str(tmp_path / "v")})
    assert changes.unchanged == ["a.mp4", "b.mp4"]
    assert not (changes.drops or changes.updates or changes.root_moves or changes.gone)


def test_each_kind_of_change_is_told_from_the_others(tmp_path: Path) -> None:
    folder = fill(tmp_path / "v", same="0", touched="11", changed="22", size="3", moved="44444", gone="5")
    stored = as_stored(found_in(folder))
    later(folder / "touched.mp4")
    fill(folder, changed="2x", size="33", new="6")
    later(folder / "changed.mp4")
    (folder / "moved.mp4").rename(folder / "elsewhere.mp4")
    (folder / "gone.mp4").unlink()
    changes = compare(found_in(folder), stored, {os.path.realpath(folder)})
    assert (changes.unchanged, changes.touched) == (["same.mp4"], ["touched.mp4"])
    assert (changes.changed, changes.drops) == (["changed.mp4", "size.mp4"],) * 2
    assert (changes.moved, changes.new, changes.gone) == (["elsewhere.mp4"], ["new.mp4"], ["gone.mp4"])
    assert changes.updates["moved.mp4"]["id"] == changes.updates["moved.mp4"]["path"] == "elsewhere.mp4"
    assert set(changes.updates) == {"moved.mp4", "touched.mp4"}


def test_names_that_were_swapped_or_taken_over(tmp_path: Path) -> None:
    folder = fill(tmp_path / "v", a="1", b="2", c="3", d="4")
    stored = as_stored(found_in(folder))
    (folder / "a.mp4").rename(folder / "x")
    (folder / "b.mp4").rename(folder / "a.mp4")
    (folder / "x").rename(folder / "b.mp4")
    (folder / "c.mp4").replace(folder / "d.mp4")
    changes = compare(found_in(folder), stored, {os.path.realpath(folder)})
    new_ids = {old: now["id"] for old, now in changes.updates.items()}
    assert new_ids == {"a.mp4": "b.mp4", "b.mp4": "a.mp4", "c.mp4": "d.mp4"}
    assert changes.drops == ["d.mp4"] and not changes.new and not changes.changed and not changes.gone


def test_equal_contents_are_given_to_as_many_files_as_there_were(tmp_path: Path) -> None:
    folder = fill(tmp_path / "v", a="1", b="1")
    stored = as_stored(found_in(folder))
    shutil.rmtree(folder)
    fill(folder, x="1", y="1", z="1")
    changes = compare(found_in(folder), stored, {os.path.realpath(folder)})
    assert (changes.moved, changes.new) == (["x.mp4", "y.mp4"], ["z.mp4"])


def test_without_a_hash_only_size_and_time_count(tmp_path: Path) -> None:
    """Stores of before: what was touched or moved is computed again, and nobody knows what is gone."""
    folder = fill(tmp_path / "v", a="1", b="2", c="3", d="4")
    stored = {
        video_id: each._replace(root=None, path=f"v/{video_id}")
        for video_id, each in as_stored(found_in(folder), known=False).items()
    }
    later(folder / "b.mp4")
    (folder / "c.mp4").rename(folder / "x.mp4")
    changes = compare(found_in(folder), stored, {os.path.realpath(folder)})
    assert changes.unchanged == ["a.mp4", "d.mp4"] and changes.changed == changes.drops == ["b.mp4"]
    assert changes.new == ["x.mp4"] and not changes.gone and not changes.updates


def test_content_is_compared_if_asked_for(tmp_path: Path) -> None:
    folder = fill(tmp_path / "v", a="1", b="2")
    stored = as_stored(found_in(folder))
    time = (folder / "a.mp4").stat().st_mtime_ns
    fill(folder, a="x")
    os.utime(folder / "a.mp4", ns=(time, time))
    assert compare(found_in(folder), stored).unchanged == ["a.mp4", "b.mp4"]
    assert compare(found_in(folder), stored, check_content=True).changed == ["a.mp4"]


def test_a_folder_that_moved_costs_one_line(tmp_path: Path) -> None:
    folder = fill(tmp_path / "v", a="1", b="2", c="3")
    stored = as_stored(found_in(folder))
    folder.rename(tmp_path / "w")
    before, after = (os.path.realpath(tmp_path / name) for name in ("v", "w"))
    changes = compare(found_in(tmp_path / "w"), stored, {after})
    assert changes.root_moves == [(before, after)] and not changes.updates
    (tmp_path / "w" / "c.mp4").unlink()  # not all of them: each is said
    changes = compare(found_in(tmp_path / "w"), stored, {after})
    assert not changes.root_moves and set(changes.updates) == {"a.mp4", "b.mp4"} and not changes.gone


def test_a_disk_that_is_not_mounted_has_lost_nothing(tmp_path: Path) -> None:
    one, other = fill(tmp_path / "one", a="1"), fill(tmp_path / "other", x="2")
    stored = as_stored(found_in(one)) | as_stored(found_in(other))
    (one / "a.mp4").unlink()  # the folder is still there, and empty, like a place to mount at
    shutil.copy(other / "x.mp4", other / "y.mp4")
    fill(other, z="1")  # what a.mp4 was
    changes = compare(found_in(other), stored, {os.path.realpath(other)})
    assert changes.new == ["y.mp4", "z.mp4"] and not changes.moved and not changes.gone


def test_two_files_of_one_id_in_two_folders_are_an_error(tmp_path: Path) -> None:
    one, other = fill(tmp_path / "one", a="1"), fill(tmp_path / "other", a="2")
    with pytest.raises(FeatxError, match="one/a.mp4 and .*other/a.mp4 would both be stored as 'a.mp4'"):
        compare(found_in(other), as_stored(found_in(one)))
    fill(other, a="1")  # a copy is no other file
    later(other / "a.mp4")
    assert compare(found_in(other), as_stored(found_in(one))).unchanged == ["a.mp4"]


def test_imported_features_are_nobodys_file(tmp_path: Path) -> None:
    folder = fill(tmp_path / "v", a="1")
    imported = StoredFile("a.mp4", "features/a.npy", None, FileState(1, 2), True, None)
    changes = compare(found_in(folder), {"a.mp4": imported}, {os.path.realpath(folder)})
    assert changes.unchanged == ["a.mp4"] and not changes.drops


def test_a_file_that_is_written_while_it_is_read_is_a_failure(clips: list[bytes], tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(clips[0])
    items = decode_video(SourceVideo("a.mp4", file), PictureOptions(Preprocessing(32)))
    next(items)
    later(file)
    *_, end = items
    assert isinstance(end, VideoEnd) and end.rows is None and end.failure is not None
    assert end.failure.error == "changed while it was read"


def test_a_store_works_from_anywhere(clips: list[bytes], tmp_path: Path, quick, featx, monkeypatch) -> None:
    (tmp_path / "here" / "deep").mkdir(parents=True)
    file = tmp_path / "here" / "deep" / "a.mp4"
    file.write_bytes(clips[0])
    monkeypatch.chdir(tmp_path)
    assert featx("extract", "here", "--to", "s").code == 0
    monkeypatch.chdir("/")
    video_info = FeatureStore(tmp_path / "s").video_info(["deep/a.mp4"])["deep/a.mp4"]
    assert (video_info.path, video_info.root) == ("deep/a.mp4", os.path.realpath(tmp_path / "here"))
    assert video_info.content_sha256 == content_sha256(file)
    assert source_file("deep/a.mp4", video_info).read_bytes() == clips[0]
    (tmp_path / "here").rename(tmp_path / "there")
    assert source_file("deep/a.mp4", video_info, tmp_path / "there").read_bytes() == clips[0]
    old = dataclasses.replace(video_info, root=None, path="here/deep/a.mp4")
    assert source_file("deep/a.mp4", old, tmp_path / "there").read_bytes() == clips[0]


def test_extract_says_what_has_become_of_a_folder(clips: list[bytes], tmp_path: Path, quick, featx) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    for name, clip in zip("abcd", clips, strict=True):
        (folder / f"{name}.mp4").write_bytes(clip)
    words = ["extract", folder, "--to", tmp_path / "s"]
    assert featx(*words).code == 0
    (folder / "a.mp4").rename(folder / "x.mp4")
    later(folder / "b.mp4")
    (folder / "c.mp4").write_bytes(clips[2] + b"\0\0\0\x08free")
    (folder / "d.mp4").unlink()
    done = featx(*words)
    assert done.code == 0 and "2 of 3 videos are in" in done.err
    assert "1 changed, 1 moved, 1 touched (same content)" in done.err
    assert "1 videos of" in done.err and "gone from the disk (d.mp4); featx store prune removes" in done.err
    assert "1 videos added" in done.err and set(FeatureStore(tmp_path / "s")) == {
        "b.mp4",
        "c.mp4",
        "d.mp4",
        "x.mp4",
    }
    assert featx("store", "prune", tmp_path / "s").code == 0
    again = featx(*words)
    assert "3 of 3 videos are in" in again.err and "gone" not in again.err
    only = featx("extract", folder / "x.mp4", "--to", tmp_path / "s")
    assert "1 of 1 videos are in" in only.err and "gone" not in only.err
    assert verify(tmp_path / "s").findings == []


def test_a_changed_video_is_not_read_while_it_is_computed(
    clips: list[bytes], tmp_path: Path, quick, featx
) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(clips[0])
    words = ["extract", folder, "--to", tmp_path / "s"]
    assert featx(*words).code == 0
    (folder / "a.mp4").write_bytes(b"still being copied")
    assert featx(*words).code == 3
    assert len(FeatureStore(tmp_path / "s")) == 0


def failures_of(store: Path) -> list[dict]:
    return [json.loads(line) for line in (store / "failures.jsonl").read_text().splitlines()]


def test_accepted_failures_are_left_alone_until_their_file_changes(
    clips: list[bytes], tmp_path: Path, quick, featx
) -> None:
    folder, store = tmp_path / "v", tmp_path / "s"
    folder.mkdir()
    (folder / "good.mp4").write_bytes(clips[0])
    (folder / "bad.mp4").write_bytes(b"no video")
    (folder / "link.mp4").symlink_to(tmp_path / "nowhere.mp4")
    words = ["extract", folder, "--to", store]
    assert featx(*words).code == 3
    assert featx("store", "accept-failures", store).code == 0
    done = featx(*words)
    assert done.code == 0 and "2 accepted as bad" in done.err and "failed:" not in done.err
    assert [failure["attempts"] for failure in failures_of(store)] == [1, 1]
    assert featx("store", "verify", store).code == 0
    (folder / "bad.mp4").write_bytes(b"another one")
    done = featx(*words)
    assert done.code == 3 and done.err.count("failed: ") == 1 and "bad.mp4" in done.err
    assert featx("store", "accept-failures", store, "bad.mp4").code == 0 and featx(*words).code == 0
    assert featx("store", "accept-failures", store, "--undo").code == 0 and featx(*words).code == 3
    (folder / "bad.mp4").unlink()
    assert featx(*words).code == 3 and [each["id"] for each in failures_of(store)] == ["link.mp4"]


def test_a_kept_video_is_tried_again_when_something_has_changed(
    clips: list[bytes], tmp_path: Path, quick, featx, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = tmp_path / "v", tmp_path / "s"
    folder.mkdir()
    (folder / "good.mp4").write_bytes(clips[0])
    tried: list[str] = []
    incomplete = True
    original = QuickWorkerPool.decode

    def decode(self, video):
        tried.append(video.id)
        rows, video_info, failure = original(self, video)
        if video.id != "kept.mp4" or not incomplete:
            return rows, video_info, failure
        cut = type(rows)(rows.features[:2], rows.pts[:2], rows.frame_index[:2])
        text = ("decode", "something is missing", "the sound ones are stored", [])
        return (
            cut,
            dataclasses.replace(video_info, complete=False),
            todo_module.Failure(video.id, str(video.path), *text),
        )

    monkeypatch.setattr(QuickWorkerPool, "decode", decode)
    (folder / "kept.mp4").write_bytes(clips[1])
    words = ["extract", folder, "--to", store, "--on-damage", "keep"]

    def run(*more: object) -> tuple[int, list[str], str]:
        tried.clear()
        done = featx(*words, *more)
        assert verify(store).findings == []
        return done.code, list(tried), done.err

    assert run()[:2] == (3, ["good.mp4", "kept.mp4"])
    code, again, said = run()
    assert (code, again) == (0, [])
    assert "1 kept videos are incomplete (kept.mp4) and nothing has changed; --retry-kept" in said
    assert run("--timeout", 900)[:2] == (3, ["kept.mp4"])
    assert run("--timeout", 900)[:2] == (0, [])
    assert run("--timeout", 900, "--batch-size", 7)[:2] == (0, [])  # on that nothing depends
    assert run("--timeout", 900, "--retry-kept")[:2] == (3, ["kept.mp4"])
    monkeypatch.setattr(todo_module, "ffmpeg_version", lambda: "another")
    todo_module.cached_ffmpeg_version.cache_clear()
    assert run("--timeout", 900)[:2] == (3, ["kept.mp4"])
    assert FeatureStore(store).rows("kept.mp4") == 2
    incomplete = False
    assert run("--timeout", 900)[:2] == (0, [])
    assert run()[:2] == (0, ["kept.mp4"])
    assert FeatureStore(store).rows("kept.mp4") > 2 and failures_of(store) == []
    todo_module.cached_ffmpeg_version.cache_clear()


def test_a_store_of_before_is_gone_on_with(clips: list[bytes], tmp_path: Path, quick, featx) -> None:
    """Version 1: no folder, no hashes, paths of another working directory."""
    from stores import video

    from featx.store.schema import VideoInfo
    from featx.store.writing.writer import StoreWriter

    folder = tmp_path / "v"
    folder.mkdir()
    with StoreWriter(tmp_path / "s", FINGERPRINT, schema_version=1) as writer:
        for number, name in enumerate(["a.mp4", "b.mp4"]):
            (folder / name).write_bytes(clips[number])
            status = (folder / name).stat()
            about = VideoInfo(f"old/{name}", status.st_size, status.st_mtime_ns, 48, 32, 1.0)
            writer.add(name, video(7, number, 16), about)
    (folder / "b.mp4").write_bytes(clips[2])
    done = featx("extract", folder, "--to", tmp_path / "s")
    assert done.code == 0 and "1 of 2 videos are in" in done.err and "1 changed" in done.err
    store = FeatureStore(tmp_path / "s")
    assert store.header.featx_store == 1 and store.rows("a.mp4") == 7 and store.rows("b.mp4") == 5
    assert store.pts("b.mp4")[0] == 0


def test_imported_features_that_changed_are_imported_again(tmp_path: Path, featx) -> None:
    import numpy as np

    folder, store = tmp_path / "npy", tmp_path / "s"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        np.save(folder / f"{name}.npy", rng.standard_normal((5, 8)).astype(np.float16))
    words = ["store", "import", folder, "--to", store, "--model", "m", "--weights-sha256", "unknown"]
    words += ["--input-size", 224]
    assert "3 videos added, 0 failed" in featx(*words).out
    assert "0 videos added, 0 failed, 3 were there already" in featx(*words).out
    changed = rng.standard_normal((6, 8)).astype(np.float16)
    np.save(folder / "a.npy", changed)
    (folder / "b.npy").rename(folder / "x.npy")
    (folder / "c.npy").unlink()
    done = featx(*words)
    assert "1 videos added (1 of them had changed), 0 failed, 1 were there already" in done.out
    assert "1 videos of" in done.out and "are gone from" in done.out and "(c)" in done.out
    np.testing.assert_array_equal(FeatureStore(store)["a"].features, changed)
    assert set(FeatureStore(store)) == {"a", "c", "x"}
    assert featx("store", "prune", store).code == 0 and set(FeatureStore(store)) == {"a", "x"}
    (tmp_path / "other").mkdir()
    np.save(tmp_path / "other" / "a.npy", changed[:3])
    refused = featx(*["store", "import", tmp_path / "other", *words[3:]])
    assert refused.code == 2 and "would both be stored as 'a'" in refused.err
