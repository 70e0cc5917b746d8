"""Stores give back what was put in, in both formats, and never hand out what was not committed."""

import itertools
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import FORMATS, fingerprint, make_store, numbered, video, video_info

from featx.errors import FeatxError
from featx.store.failures import Failure, FailureList
from featx.store.reader import FeatureStore
from featx.store.upkeep.verify import verify
from featx.store.writing.writer import StoreWriter


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 700), min_size=1, max_size=6), st.sampled_from(FORMATS), st.integers(1, 20_000)
)
def test_rows_come_back_whatever_the_shard_size(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], format: str, shard_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("store") / "s"
    videos = {f"folder/{i}.mp4": video(rows, i) for i, rows in enumerate(lengths)}
    with StoreWriter(path, fingerprint(), format, shard_bytes=shard_bytes) as writer:
        for name, one in videos.items():
            writer.add(name, one, video_info(name))
    store = FeatureStore(path)
    assert list(store) == list(videos) and store.ids == tuple(videos)
    for name, one in videos.items():
        read = store[name]
        np.testing.assert_array_equal(read.features, one.features)
        np.testing.assert_array_equal(read.pts, one.pts)
        np.testing.assert_array_equal(read.frame_index, one.frame_index)
    names = list(reversed(videos))
    packed = store.load(names)
    np.testing.assert_array_equal(packed.features, np.concatenate([videos[name].features for name in names]))


@pytest.mark.parametrize("format", FORMATS)
def test_a_shard_without_a_record_does_not_exist(tmp_path: Path, format: str) -> None:
    for name in ("a", "b"):
        with StoreWriter(tmp_path, fingerprint(), format) as writer:
            writer.add(name, video(30, 0), video_info(name))
    (tmp_path / "shards" / "shard-00001.json").unlink()
    assert list(FeatureStore(tmp_path)) == ["a"]
    with StoreWriter(tmp_path, fingerprint(), format) as writer:
        assert list(writer.done) == ["a"]
        writer.add("b", video(30, 1), video_info("b"))
    np.testing.assert_array_equal(FeatureStore(tmp_path)["b"].features, video(30, 1).features)


@pytest.mark.parametrize("format", FORMATS)
def test_a_flipped_byte_of_features_is_an_error(tmp_path: Path, format: str) -> None:
    with StoreWriter(tmp_path, fingerprint(), format) as writer:
        writer.add("a", video(2000, 0), video_info("a"))
    shard = tmp_path / "shards" / "shard-00000.h5"
    file = shard if format == "hdf5" else shard.with_suffix(".zarr") / "features" / "c" / "0" / "0"
    content = bytearray(file.read_bytes())
    position = content.find(video(2000, 0).features[1500].tobytes())
    assert position > 0
    content[position] ^= 1
    file.write_bytes(content)
    with pytest.raises(FeatxError, match="shard-00000.*: damaged in row 1280 or after; featx store verify"):
        FeatureStore(tmp_path)["a"]


def test_a_lost_zarr_file_is_an_error_not_zeros(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, fingerprint()) as writer:
        writer.add("a", video(20, 0), video_info("a"))
    (tmp_path / "shards" / "shard-00000.zarr" / "features" / "c" / "0" / "0").unlink()
    with pytest.raises(FeatxError, match="missing or unreadable"):
        FeatureStore(tmp_path)["a"]


def test_another_fingerprint_names_the_difference(tmp_path: Path) -> None:
    StoreWriter(tmp_path, fingerprint()).__exit__(None, None, None)
    with pytest.raises(FeatxError, match="precision: bf16, not fp32"):
        StoreWriter(tmp_path, fingerprint(precision="bf16"))
    with pytest.raises(FeatxError, match="format: hdf5, not zarr"):
        StoreWriter(tmp_path, fingerprint(), "hdf5")


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, fingerprint()), pytest.raises(FeatxError, match="another featx is writing"):
        StoreWriter(tmp_path, fingerprint())


def test_features_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    bad = video(3, 0)
    bad.features[1, 2] = np.inf
    with StoreWriter(tmp_path, fingerprint()) as writer, pytest.raises(FeatxError, match="not finite"):
        writer.add("a", bad, video_info("a"))


def test_an_unknown_id_suggests_the_nearest(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, fingerprint()) as writer:
        writer.add("wave/a.mp4", video(3, 0), video_info("a"))
    with pytest.raises(FeatxError, match="did you mean 'wave/a.mp4'"):
        FeatureStore(tmp_path)["wave/a.mp"]


def failure(name: str) -> Failure:
    return Failure(name, name, "open", "broken", "nothing", [])


def test_a_failure_that_was_cut_off_does_not_stop_the_next_run(tmp_path: Path) -> None:
    FailureList(tmp_path).record(failure("a"))
    file = tmp_path / "failures.jsonl"
    whole = file.read_bytes()
    for cut in range(1, len(whole)):
        file.write_bytes(whole + whole[:cut])
        failures = FailureList(tmp_path)
        assert set(failures.ids) == {"a"}
        failures.record(failure("b"))
        failures.record(failure("c"))
        assert set(FailureList(tmp_path).ids) == {"a", "b", "c"}
        assert file.read_bytes().startswith(whole) and file.read_bytes().count(b"\n") == 3


def test_a_list_of_failures_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "failures.jsonl"
    for content in (b"\xff\xfe\n", b"[1]\n", b'{"id": "a"}\n', b"words\n"):
        file.write_bytes(content)
        with pytest.raises(FeatxError, match="failures.jsonl:1: not a failure .*; delete the file"):
            FailureList(tmp_path)


def test_failures_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    failures = FailureList(tmp_path / "gone")
    for attempt in (
        lambda: failures.record(failure("a")),
        lambda: FailureList(Path("/dev/null")).tidy(set()),
    ):
        with pytest.raises(FeatxError, match="cannot be written"):
            attempt()


@pytest.mark.parametrize("format", FORMATS)
def test_a_gap_is_never_filled(tmp_path: Path, format: str) -> None:
    path = make_store(tmp_path / "s", numbered([20, 30, 40]), format, shard_bytes=1)
    for entry in path.glob("shards/shard-00001.*"):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    with StoreWriter(path, fingerprint(), format) as writer:
        writer.add("folder/1.mp4", video(30, 1), video_info("again"))
    assert sorted(each.stem for each in path.glob("shards/*.json")) == [
        f"shard-{number:05d}" for number in (0, 2, 3)
    ]
    assert list(FeatureStore(path)) == ["folder/0.mp4", "folder/2.mp4", "folder/1.mp4"]
    (finding,) = verify(path, repair=True).findings
    assert "shard-00001.json" in finding.path and finding.drop == 1
    assert verify(path).findings == [] and len(FeatureStore(path)) == 3


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError])
def test_an_error_anywhere_in_a_commit_leaves_each_video_in_the_store_once_or_not_at_all(
    tmp_path: Path, format: str, error: type[BaseException]
) -> None:
    """Errors that are no signals, at every function of the file system that a commit calls, and then a second try."""
    functions = [(os, "fsync"), (os, "open"), (Path, "rename"), (Path, "replace"), (Path, "write_bytes")]
    for number, ((place, name), nth, after) in enumerate(itertools.product(functions, range(1, 9), (0, 1))):
        path, calls = tmp_path / str(number), []
        writer = StoreWriter(path, fingerprint(), format)
        writer.add("a", video(30, 0), video_info("a"))
        with pytest.MonkeyPatch.context() as patch:
            real = getattr(place, name)

            def broken(*words, real=real, calls=calls, nth=nth, after=after, **more):
                if threading.current_thread() is not threading.main_thread():
                    return real(*words, **more)  # zarr's loop: interrupts never come there
                calls.append(words)
                if len(calls) == nth and not after:
                    raise error("injected")
                result = real(*words, **more)
                if len(calls) == nth:
                    raise error("injected")
                return result

            patch.setattr(place, name, broken)
            try:
                writer.commit()
                failed = False
            except (FeatxError, KeyboardInterrupt, MemoryError):
                failed = True
        assert failed == (len(calls) >= nth)
        if "a" not in writer.done:  # an OSError: the store could not be written, so the video was given up
            assert error is OSError and len(FeatureStore(path)) == 0
            writer.add("a", video(30, 0), video_info("a"))
        writer.__exit__(None, None, None)
        assert verify(path, ["a"]).findings == [], (name, nth, after)
        shutil.rmtree(path)
