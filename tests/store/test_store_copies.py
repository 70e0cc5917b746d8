"""Stores merged, converted, imported and exported hold the same numbers; what cannot be done is named."""

import io
import itertools
import json
import os
import shutil
import signal
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import FORMATS, assert_equal, fingerprint, make_store, numbered, video

from featx.errors import FeatxError
from featx.store.failures import Failure, FailureList
from featx.store.reader import FeatureStore
from featx.store.upkeep import export as export_module
from featx.store.upkeep.copies import convert, merge
from featx.store.upkeep.export import export
from featx.store.upkeep.file_names import FileSystem, problem_of_names
from featx.store.upkeep.imports import ImportSettings, import_folder
from featx.store.upkeep.verify import verify
from featx.store.writing.new_folder import made_whole

LENGTHS = st.lists(st.integers(1, 400), min_size=2, max_size=6)
KNOWN = ["--weights-sha256", "0" * 64, "--input-size", 64]


@settings(max_examples=10, deadline=None)
@given(LENGTHS, st.integers(1, 9000), st.permutations(FORMATS), st.data())
def test_merged_and_converted_stores_hold_the_same(
    tmp_path_factory, lengths, shard_bytes, formats, data
) -> None:
    folder = tmp_path_factory.mktemp("stores")
    videos = numbered(lengths)
    cut = data.draw(st.integers(1, len(videos) - 1))
    parts = [dict(itertools.islice(videos.items(), *ends)) for ends in ((0, cut), (cut, None))]
    stores = [make_store(folder / str(n), part, formats[n], shard_bytes) for n, part in enumerate(parts)]
    assert merge(stores, folder / "merged") == len(videos)
    convert(folder / "merged", folder / "there", formats[1], "float32")
    convert(folder / "there", folder / "back", None, "float16")
    for name in ("merged", "back"):
        store = FeatureStore(folder / name)
        assert list(store) == list(videos)
        for video_id in store:
            assert_equal(store[video_id], videos[video_id])
        assert [video_info for _, _, video_info in store.videos()] == [
            video_info for path in stores for _, _, video_info in FeatureStore(path).videos()
        ]
    wide = FeatureStore(folder / "there")
    assert wide.header.fingerprint.differences(FeatureStore(stores[0]).header.fingerprint) == [
        "dtype: float32, not float16"
    ]
    assert wide.load(list(videos)).features.dtype == np.float32
    for name in ("merged", "there", "back"):
        assert verify(folder / name, list(videos)).findings == []


def test_merging_names_what_differs(tmp_path: Path, featx) -> None:
    make_store(tmp_path / "a", numbered([20]))
    make_store(tmp_path / "b", numbered([30]))
    make_store(tmp_path / "c", {"x": video(3, 0)}, precision="bf16")
    words = ["store", "merge", tmp_path / "a"]
    outcome = featx(*words, tmp_path / "c", "--to", tmp_path / "m")
    assert outcome.code == 2 and "(precision: bf16, not fp32)" in outcome.err
    outcome = featx(*words, tmp_path / "b", "--to", tmp_path / "m")
    assert (
        outcome.code == 2
        and "1 of its videos are in" in outcome.err
        and "'folder/0.mp4' first" in outcome.err
    )
    assert featx(*words, "--to", tmp_path / "b").code == 2
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b", "c"]


def test_failures_of_merged_stores_are_kept(tmp_path: Path) -> None:
    stores = [make_store(tmp_path / name, {name: video(3, 0)}) for name in ("a", "b")]
    FailureList(stores[0]).record(Failure("b", "b", "open", "was not there", "nothing", []))
    FailureList(stores[1]).record(Failure("c", "c", "open", "no", "nothing", []))
    merge(stores, tmp_path / "m")
    assert set(FailureList(tmp_path / "m").ids) == {"c"}


def test_a_type_that_values_do_not_fit_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    rows = video(3, 0)
    large = type(rows)(rows.features.astype(np.float32) * 1e6, rows.pts, rows.frame_index)
    make_store(tmp_path / "s", {"a": large}, dtype="float32")
    with pytest.raises(FeatxError, match="video 'a': features of row 0 are not finite"):
        convert(tmp_path / "s", tmp_path / "half", dtype="float16")
    assert [each.name for each in tmp_path.iterdir()] == ["s"]


def test_damage_ends_a_copy_and_leaves_nothing(tmp_path: Path) -> None:
    make_store(tmp_path / "s", numbered([20, 30]), shard_bytes=1)
    file = tmp_path / "s" / "shards" / "shard-00001.zarr" / "features" / "c" / "0" / "0"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(FeatxError, match="bytes"):
        convert(tmp_path / "s", tmp_path / "t", "hdf5")
    assert [each.name for each in tmp_path.iterdir()] == ["s"]
    file.write_bytes(whole)
    assert convert(tmp_path / "s", tmp_path / "t", "hdf5") == 2


def test_two_copies_to_one_place_are_refused(tmp_path: Path) -> None:
    make_store(tmp_path / "s", numbered([20]))
    with made_whole(tmp_path / "t") as partial:
        (partial / "mine").write_text("half")
        with pytest.raises(FeatxError, match="another featx is writing"):
            convert(tmp_path / "s", tmp_path / "t")
    assert [each.name for each in (tmp_path / "t").iterdir()] == ["mine"]


def test_a_folder_in_the_way_is_named_and_not_touched(tmp_path: Path, featx) -> None:
    make_store(tmp_path / "s", numbered([20]))
    way, elsewhere = tmp_path / "t.partial", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".featx-making").write_bytes(b"")
    (elsewhere / "mine").write_text("mine")

    def folder() -> None:
        way.mkdir()
        (way / "mine").write_text("mine")

    def empty_folder() -> None:
        way.mkdir()

    def folder_with_a_file_of_that_name() -> None:
        folder()
        (way / ".featx-making").write_text("mine too")

    for make in (
        folder,
        empty_folder,
        folder_with_a_file_of_that_name,
        lambda: way.write_text("mine"),
        lambda: way.symlink_to(elsewhere),
        lambda: way.symlink_to(tmp_path / "nowhere"),
    ):
        make()
        before = {each: each.lstat().st_mtime_ns for each in tmp_path.rglob("*")}
        for words in (["convert", tmp_path / "s"], ["export", tmp_path / "s", "--as", "npy"]):
            outcome = featx("store", *words, "--to", tmp_path / "t")
            assert outcome.code == 2
            assert outcome.err.startswith(f"featx: {way}: is in the way") and "another --to" in outcome.err
        assert {each: each.lstat().st_mtime_ns for each in tmp_path.rglob("*")} == before
        way.unlink() if way.is_symlink() or way.is_file() else shutil.rmtree(way)
    (tmp_path / "t").symlink_to(tmp_path / "nowhere")
    assert "t: exists" in featx("store", "convert", tmp_path / "s", "--to", tmp_path / "t").err


def test_what_a_killed_copy_left_is_taken_over(tmp_path: Path) -> None:
    make_store(tmp_path / "s", numbered([20]))
    child = os.fork()
    if child == 0:
        with made_whole(tmp_path / "t") as partial:
            (partial / "half").mkdir()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert (tmp_path / "t.partial" / "half").is_dir()
    assert convert(tmp_path / "s", tmp_path / "t") == 1
    assert sorted(each.name for each in (tmp_path / "t").iterdir()) == [
        "failures.jsonl",
        "lock",
        "shards",
        "store.json",
    ]
    assert not (tmp_path / "t.partial").exists()


def test_an_interrupted_copy_leaves_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), made_whole(tmp_path / "t") as partial:
            (partial / "half").mkdir()
            signal.raise_signal(signal.SIGINT)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=10, deadline=None)
@given(LENGTHS, st.sampled_from(FORMATS), st.sampled_from(["25", None]))
def test_npy_there_and_back(tmp_path_factory, lengths, format, fps) -> None:
    folder = tmp_path_factory.mktemp("npy")
    videos = numbered(lengths)
    store = FeatureStore(make_store(folder / "s", videos, format, sampling="every 2", precision="fp16"))
    export(store, folder / "npy", "npy")
    from featx.settings import gather

    words = gather(ImportSettings, folder / "npy" / "import.toml", {"fps": fps, "format": format}, [])
    done = import_folder(folder / "npy", folder / "back", words)
    assert (done.added, done.failed) == (len(videos), 0)
    back = FeatureStore(folder / "back")
    assert set(back) == set(videos) and back.header.fingerprint == store.header.fingerprint
    for video_id in back:
        np.testing.assert_array_equal(back[video_id].features, videos[video_id].features)
        index = np.arange(len(videos[video_id]))
        pts, frame_index = (
            (index / 25, 2 * index) if fps else (videos[video_id].pts, videos[video_id].frame_index)
        )
        np.testing.assert_array_equal(back[video_id].pts, pts)
        np.testing.assert_array_equal(back[video_id].frame_index, frame_index)
    assert verify(folder / "back", list(videos)).findings == []


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_times_that_do_not_belong_to_the_features_are_no_times(tmp_path: Path, damage: bytes | None) -> None:
    from featx.settings import gather

    videos = numbered([5, 6])
    export(FeatureStore(make_store(tmp_path / "s", videos)), tmp_path / "npy", "npy")
    first, second = (tmp_path / "npy" / f"{video_id}.pts" for video_id in videos)
    first.write_bytes(second.read_bytes() if damage is None else damage)
    said: list[str] = []
    words = gather(ImportSettings, tmp_path / "npy" / "import.toml", {}, [])
    done = import_folder(tmp_path / "npy", tmp_path / "back", words, said.append)
    assert (done.added, done.failed) == (1, 1) and f"{first.name} beside it" in said[0]


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """As the method's authors published theirs: float64, a file a video."""
    folder = tmp_path / "published"
    (folder / "wave").mkdir(parents=True)
    for name, rows in [("wave/a", 20), ("wave/b", 300), ("c", 7)]:
        np.save(folder / f"{name}.npy", video(rows, rows).features.astype(np.float64))
    return folder


def test_published_features_come_in_and_bad_files_are_listed(published: Path, tmp_path: Path, featx) -> None:
    np.save(published / "flat.npy", np.ones(8))
    np.save(published / "wide.npy", np.ones((3, 9)))
    np.save(published / "whole.npy", np.ones((3, 8), dtype=np.int64))
    np.save(published / "nan.npy", np.full((3, 8), np.nan))
    np.save(published / "huge.npy", np.full((3, 8), 1e9))
    np.save(published / "zero.npy", np.zeros((3, 8)))
    np.save(published / "none.npy", np.zeros((0, 8)))
    np.save(published / "objects.npy", np.array([[{}]]), allow_pickle=True)
    (published / "text.npy").write_bytes(b"no array")
    (published / "zip.npy").write_bytes(b"PK\x03\x04 no archive")
    whole = (published / "c.npy").read_bytes()
    (published / "header.npy").write_bytes(whole.replace(b"(7, 8)", b"(7, 8("))
    (published / "negative.npy").write_bytes(whole.replace(b"(7, 8)", b"(-7,8)"))
    (published / "cut.npy").write_bytes((published / "c.npy").read_bytes()[:-9])
    words = ["store", "import", published, "--to", tmp_path / "s", "--model", "ViT-B/16", *KNOWN]
    outcome = featx(*words, "--ending", ".mp4")
    assert outcome.code == 3, outcome.err
    bad = {"flat", "wide", "whole", "nan", "huge", "zero", "none", "objects", "text", "cut"}
    bad |= {"zip", "header", "negative"}
    assert f"3 videos added, {len(bad)} failed" in outcome.out
    listed = [json.loads(line) for line in (tmp_path / "s" / "failures.jsonl").read_text().splitlines()]
    assert {each["id"] for each in listed} == {f"{name}.mp4" for name in bad}
    assert {each["stage"] for each in listed} == {"import"}
    store = FeatureStore(tmp_path / "s")
    assert set(store) == {"wave/a.mp4", "wave/b.mp4", "c.mp4"}
    np.testing.assert_array_equal(store["wave/b.mp4"].features, video(300, 300).features)
    assert np.isnan(store["c.mp4"].pts).all() and (store["c.mp4"].frame_index == -1).all()
    assert verify(tmp_path / "s").findings == []
    np.save(published / "flat.npy", np.ones((5, 8)))
    outcome = featx(*words, "--ending", ".mp4")
    assert outcome.code == 3 and "1 videos added, 12 failed, 3 were there already" in outcome.out


def test_import_takes_the_fingerprint_from_the_model_or_says_what_is_wrong(
    published: Path, tmp_path: Path, featx
) -> None:
    words = ["store", "import", published, "--to", tmp_path / "s"]
    outcome = featx(*words, "--model", "tiny")
    assert outcome.code == 2 and "its features have" in outcome.err and "those of the files 8" in outcome.err
    outcome = featx(*words)
    assert outcome.code == 2 and "--model: is needed" in outcome.err
    outcome = featx(*words, "--model", "m", *KNOWN, "--fps", "0")
    assert outcome.code == 2 and "--fps 0: must be a positive number" in outcome.err
    assert featx(*words, "--model", "m", *KNOWN, "--fps", "30000/1001").code == 0
    np.testing.assert_allclose(FeatureStore(tmp_path / "s")["c"].pts, np.arange(7) * 1001 / 30000)
    outcome = featx(*words, "--model", "m", *KNOWN, "--precision", "fp16")
    assert outcome.code == 2 and "made with other settings (precision: fp16, not unknown" in outcome.err
    for file in published.rglob("*.npy"):
        file.unlink()
    assert "no .npy file" in featx(*words, "--model", "m", *KNOWN).err


ONLY_DATA = "cannot be the name of a file below a folder"


def export_npy(folder: Path, featx, *ids: str):
    path = make_store(folder / "s", {name: video(3, 0) for name in ["good.mp4", *ids]})
    outcome = featx("store", "export", path, "--to", folder / "npy", "--as", "npy")
    assert [each.name for each in folder.iterdir() if each.name != "npy"] == ["s"]
    return outcome


@pytest.mark.parametrize(
    ("ids", "named", "why"),
    [
        *((["a.mp4", bad], bad, "leads elsewhere") for bad in ("../out.mp4", "/out.mp4", "a/../../out.mp4")),
        *((["a.mp4", bad], bad, "an empty part") for bad in ("a//b", "a/./b", "a/", "", ".", "a/..")),
        (["a\0b"], "a\\x00b", "leads elsewhere"),
        (["x" * 252], "x" * 252, "a name in it has 256 bytes, 255 are possible"),
        (["ö" * 126], "ö" * 126, "a name in it has 256 bytes, 255 are possible"),
        (["y" * 256 + "/a"], "y" * 256 + "/a", "a name in it has 256 bytes, 255 are possible"),
        (["/".join(["z" * 100] * 41)], "z" * 100, "it has 4144 bytes, "),
        (["a", "a.npy/b"], "a.npy/b", "its folder has the name of video 'a'"),
        (["a.npy/b", "a"], "a.npy/b", "its folder has the name of video 'a'"),
        (["import.toml/b"], "import.toml/b", "its folder has the name of import.toml"),
        ([".featx-making/b"], ".featx-making/b", "its folder has the name of .featx-making"),
        (["\ud800"], "\\ud800", "cannot be written"),
    ],
)
def test_ids_that_cannot_be_files_are_named_before_anything_is_written(
    tmp_path: Path, featx, ids: list[str], named: str, why: str
) -> None:
    outcome = export_npy(tmp_path, featx, *ids)
    assert outcome.code == 2 and ONLY_DATA in outcome.err and why in outcome.err, outcome.err
    assert f"1 ids {ONLY_DATA}, first video '{named}" in outcome.err
    assert "export as parquet or webdataset" in outcome.err
    assert not (tmp_path / "npy").exists() and not list(tmp_path.rglob("out*"))


def test_ids_as_long_as_the_file_system_takes_are_exported(tmp_path: Path, featx) -> None:
    ids = ["x" * 251, "y" * 255 + "/a", "making/a", "A.mp4", "a.mp4", "caf\udce9.mp4", "import.toml"]
    outcome = export_npy(tmp_path, featx, *ids)
    assert outcome.code == 0, outcome.err
    for name in ids:
        assert (tmp_path / "npy" / f"{name}.npy").is_file()


def test_names_that_a_file_system_takes_for_the_same_are_found() -> None:
    ids = ["Wave/a.mp4", "wave/b.mp4", "WAVE/A.mp4", "caf\u00e9", "cafe\u0301"]
    count, first = problem_of_names(ids, ".npy", FileSystem(255, 4096, folds=True), ["import.toml"])
    assert (count, first) == (3, "video 'wave/b.mp4': its folder wave is Wave here")
    assert problem_of_names([ids[0], ids[2]], ".npy", FileSystem(255, 4096, folds=True), []) == (
        1,
        "video 'WAVE/A.mp4': its file is that of video 'Wave/a.mp4' here",
    )
    assert problem_of_names(ids, ".npy", FileSystem(255, 4096), ["import.toml"]) == (0, "")


def test_parquet_holds_every_row(tmp_path: Path, featx, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(export_module, "ROWS_A_PART", 250)
    videos = numbered([200, 100, 30, 500])
    make_store(tmp_path / "s", videos)
    outcome = featx("store", "export", tmp_path / "s", "--to", tmp_path / "p", "--as", "parquet")
    assert outcome.code == 0, outcome.err
    assert len(list((tmp_path / "p").glob("*"))) == 2
    table = parquet.read_table(tmp_path / "p")
    assert json.loads(table.schema.metadata[b"featx_fingerprint"]) == fingerprint().model_dump()
    assert table["id"].to_pylist() == [name for name, rows in videos.items() for _ in range(len(rows))]
    assert table["row"].to_pylist() == [row for rows in videos.values() for row in range(len(rows))]
    features = np.array(table["features"].to_pylist(), dtype=np.float16)
    np.testing.assert_array_equal(features, np.concatenate([rows.features for rows in videos.values()]))
    for name in ("pts", "frame_index"):
        expected = np.concatenate([getattr(rows, name) for rows in videos.values()])
        np.testing.assert_array_equal(table[name].to_numpy(), expected)


def test_parquet_without_its_library_says_what_to_install(tmp_path: Path, featx, monkeypatch) -> None:
    make_store(tmp_path / "s", numbered([3]))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    outcome = featx("store", "export", tmp_path / "s", "--to", tmp_path / "p", "--as", "parquet")
    assert outcome.code == 2 and outcome.err.count("\n") == 1
    assert "pip install 'featx[parquet]'" in outcome.err and not (tmp_path / "p").exists()


def test_webdataset_samples_hold_every_video(tmp_path: Path, featx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "ROWS_A_PART", 250)
    videos = numbered([200, 100, 30, 500])
    make_store(tmp_path / "s", videos, "hdf5")
    assert featx("store", "export", tmp_path / "s", "--to", tmp_path / "w", "--as", "webdataset").code == 0
    samples: dict[str, dict[str, bytes]] = {}
    tars = sorted((tmp_path / "w").glob("*"))
    assert [tar.name for tar in tars] == ["shard-000000.tar", "shard-000001.tar"]
    for path in tars:
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")  # WebDataset's rule
                samples.setdefault(key, {})[ending] = tar.extractfile(member).read()
    assert len(samples) == len(videos)
    for sample, (video_id, rows) in zip(samples.values(), videos.items(), strict=True):
        assert json.loads(sample["json"])["id"] == video_id
        for name in ("features", "pts", "frame_index"):
            np.testing.assert_array_equal(np.load(io.BytesIO(sample[f"{name}.npy"])), getattr(rows, name))
