"""`featx store verify` and `info`: values that cannot be features, a manifest, what the commands print and return."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from stores import FORMATS, fingerprint, make_store, numbered, video, video_info

from featx.errors import FeatxError
from featx.files.checksummed_json import dump_checksummed, read_checksummed
from featx.manifest.videos import Header, Manifest, Video, write_manifest
from featx.store.failures import Failure, FailureList
from featx.store.index import read_record, record_bytes
from featx.store.reader import FeatureStore
from featx.store.schema import VideoFeatures, VideoInfo
from featx.store.upkeep.verify import verify
from featx.store.writing import writer as writer_module
from featx.store.writing.checks import problem_of
from featx.store.writing.writer import BadVideo, StoreWriter


def changed(what: str) -> VideoFeatures:
    rows = video(20, 0)
    pts, frame_index = rows.pts.copy(), rows.frame_index.copy()
    if what == "not finite":
        rows.features[3, 2] = np.nan
    if what == "all zero":
        rows.features[3] = 0
    if what == "pts of row 3 is before":
        pts[3] = 0
    if what == "pts of row 3 is not finite":
        pts[3] = np.nan
    if what == "frame_index of row 3 is before":
        frame_index[3] = 0
    return dataclasses.replace(rows, pts=pts, frame_index=frame_index)


@pytest.mark.parametrize(
    "what",
    [
        *("not finite", "all zero", "pts of row 3 is before", "pts of row 3 is not finite"),
        "frame_index of row 3 is before",
    ],
)
@pytest.mark.parametrize("format", FORMATS)
def test_rows_that_cannot_be_features_are_refused_and_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, format: str
) -> None:
    with StoreWriter(tmp_path / "s", fingerprint(), format) as writer:
        with pytest.raises(BadVideo, match=f"'bad'.*{what}"):
            writer.add("bad", changed(what), video_info("bad"))
        monkeypatch.setattr(writer_module, "problem_of", lambda *_: "")  # a writer that does not look
        writer.add("bad", changed(what), video_info("bad"))
        writer.add("good", video(20, 1), video_info("good"))
    (finding,) = verify(tmp_path / "s").findings
    assert what in finding.problem and "'bad'" in finding.problem


def test_what_nobody_knows_may_be_stored() -> None:
    rows = video(20, 0)
    unknown = VideoFeatures(rows.features, np.full(20, np.nan), np.full(20, -1, np.int32))
    assert problem_of(unknown, fingerprint()) == ""
    assert "shape (20, 8), not (20, 9)" in problem_of(rows, fingerprint(9))
    assert "float16, not float32" in problem_of(rows, fingerprint(dtype="float32"))


def test_a_shard_of_another_store_is_found(tmp_path: Path) -> None:
    one = make_store(tmp_path / "one", numbered([20, 30]), shard_bytes=1)
    other = make_store(tmp_path / "other", numbered([20, 30, 40]), shard_bytes=1, precision="bf16")
    shutil.copy(other / "shards" / "shard-00002.json", one / "shards")
    shutil.copytree(other / "shards" / "shard-00002.zarr", one / "shards" / "shard-00002.zarr")
    with pytest.raises(FeatxError, match=r"belongs to another store \(precision: bf16, not fp32\)"):
        FeatureStore(one)
    (finding,) = verify(one, repair=True).findings
    assert finding.problem == "belongs to another store (precision: bf16, not fp32)"
    assert verify(one).findings == [] and list(FeatureStore(one)) == ["folder/0.mp4", "folder/1.mp4"]


def other_store(tmp_path: Path, count: int) -> Path:
    """A store with another precision, of other videos."""
    videos = {f"other/{number}.mp4": video(10, number) for number in range(count)}
    return make_store(tmp_path / "other", videos, shard_bytes=1, precision="bf16")


def take_shards(store: Path, other: Path, count: int) -> None:
    """Puts shards of another store behind a store's own."""
    first = len(list(store.glob("shards/*.json")))
    for number in range(count):
        name = f"shard-{first + number:05d}"
        record = read_record(other / "shards" / f"shard-{number:05d}.json")
        files = {path.replace(record.name, name): digest for path, digest in record.files.items()}
        renamed = dataclasses.replace(record, name=name, files=files)
        (store / "shards" / f"{name}.json").write_bytes(record_bytes(renamed))
        shutil.copytree(other / "shards" / f"{record.name}.zarr", store / "shards" / f"{name}.zarr")


@pytest.mark.parametrize("what", ["another store's", "a record", "with a member too many"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_foreign_store_json_is_made_again_and_nothing_is_dropped(
    tmp_path: Path, what: str, count: int, featx
) -> None:
    path = make_store(tmp_path / "s", numbered([20, 30, 40][:count]), shard_bytes=1)
    file = path / "store.json"
    own = file.read_bytes()
    if what == "another store's":
        shutil.copy(other_store(tmp_path, 1) / "store.json", file)
    elif what == "a record":
        shutil.copy(path / "shards" / "shard-00000.json", file)
    else:
        file.write_bytes(dump_checksummed({**read_checksummed(file), "mine": 1}))
    with pytest.raises(FeatxError, match="verify"):
        FeatureStore(path)
    outcome = featx("store", "verify", path)
    assert outcome.code == 4 and outcome.out.startswith("store.json: "), outcome
    if what == "another store's":
        shards = "shard-00000" if count == 1 else "shard-00000 and 2 more"
        assert f"is of another store than {shards} (precision: bf16, not fp32)" in outcome.out
    (finding,) = verify(path, repair=True).findings
    assert finding.path == "store.json" and finding.drop is None
    assert file.read_bytes() == own and verify(path).findings == []
    assert len(FeatureStore(path)) == count


@pytest.mark.parametrize(("own", "foreign", "stated"), [(3, 1, "own"), (3, 1, "foreign"), (3, 1, "none")])
def test_the_store_is_what_most_of_it_says(tmp_path: Path, own: int, foreign: int, stated: str) -> None:
    path = make_store(tmp_path / "s", numbered([20] * own), shard_bytes=1)
    before = (path / "store.json").read_bytes()
    other = other_store(tmp_path, foreign)
    take_shards(path, other, foreign)
    if stated == "foreign":
        shutil.copy(other / "store.json", path / "store.json")
    elif stated == "none":
        (path / "store.json").unlink()
    assert verify(path, repair=True).to_drop == list(range(own, own + foreign))
    assert verify(path).findings == [] and (path / "store.json").read_bytes() == before
    assert list(FeatureStore(path)) == [f"folder/{number}.mp4" for number in range(own)]


@pytest.mark.parametrize(("own", "foreign", "stated"), [(2, 2, "none"), (1, 2, "own"), (2, 1, "foreign")])
def test_where_nothing_says_which_store_it_is_nothing_is_changed(
    tmp_path: Path, own: int, foreign: int, stated: str, featx
) -> None:
    path = make_store(tmp_path / "s", numbered([20] * own), shard_bytes=1)
    other = other_store(tmp_path, foreign)
    take_shards(path, other, foreign)
    if stated == "foreign":
        shutil.copy(other / "store.json", path / "store.json")
    elif stated == "none":
        (path / "store.json").unlink()
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    outcome = featx("store", "verify", path)
    assert outcome.code == 4 and "are of different stores, and nothing says which is this one" in outcome.out
    outcome = featx("store", "verify", path, "--repair")
    assert outcome.code == 2 and "cannot be repaired" in outcome.err and "move what is not" in outcome.err
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_a_video_in_two_shards_is_found(tmp_path: Path) -> None:
    path = make_store(tmp_path / "s", numbered([20, 30]), shard_bytes=1)
    with StoreWriter(path, fingerprint()) as writer:
        writer.done.clear()
        writer.add("folder/1.mp4", video(5, 9), video_info("again"))
    with pytest.raises(FeatxError, match="video 'folder/1.mp4' is in it twice"):
        FeatureStore(path)
    (finding,) = verify(path, repair=True).findings
    assert finding.drop == 2
    assert finding.problem == "1 videos are in an earlier shard too, 'folder/1.mp4' first"
    assert verify(path).findings == [] and FeatureStore(path).rows("folder/1.mp4") == 30


def manifest_of(ids: list[str], file: Path) -> Path:
    write_manifest(Manifest(Header(name="m"), [Video(id=each, path=each) for each in ids], file))
    return file


def test_the_manifest_minus_failures_must_be_there(tmp_path: Path, featx) -> None:
    path = make_store(tmp_path / "s", numbered([20, 30]))
    FailureList(path).record(Failure("broken.mp4", "broken.mp4", "open", "no", "nothing", []))
    fits = manifest_of(["folder/0.mp4", "folder/1.mp4", "broken.mp4"], tmp_path / "fits.jsonl")
    assert featx("store", "verify", path, "--manifest", fits).code == 0
    lacks = manifest_of(["folder/0.mp4", "gone.mp4"], tmp_path / "lacks.jsonl")
    outcome = featx("store", "verify", path, "--manifest", lacks)
    assert outcome.code == 4
    assert "1 videos of the manifest are neither in the store nor failed: gone.mp4" in outcome.out
    assert "1 videos of the store are not in the manifest: folder/1.mp4" in outcome.out


def test_verify_lists_repairs_and_returns_its_code(tmp_path: Path, featx) -> None:
    path = make_store(tmp_path / "s", numbered([20, 30]), shard_bytes=1)
    outcome = featx("store", "verify", path)
    assert (outcome.code, outcome.err.strip()) == (0, "")
    assert "2 videos, 50 rows in 2 shards were looked at" in outcome.out
    (path / "shards/shard-00000.zarr/features/c/0/0").unlink()
    (path / "failures.jsonl").write_text("{\n")
    (path / "shards" / "notes.txt").write_text("mine")
    outcome = featx("store", "verify", path, "--json")
    assert outcome.code == 4 and "3 findings; --repair drops" in outcome.err
    found = {finding["path"]: finding["drop"] for finding in json.loads(outcome.out)["findings"]}
    assert found == {
        "shards/shard-00000.zarr/features/c/0/0": 0,
        "failures.jsonl": None,
        "shards/notes.txt": None,
    }
    outcome = featx("store", "verify", path, "--repair")
    assert outcome.code == 4 and "1 shards dropped; run featx extract again" in outcome.err
    assert (path / "shards" / "notes.txt").read_text() == "mine"
    assert list(FeatureStore(path)) == ["folder/1.mp4"]


def test_a_store_that_is_being_written_is_not_verified(tmp_path: Path, featx) -> None:
    with StoreWriter(tmp_path / "s", fingerprint()):
        outcome = featx("store", "verify", tmp_path / "s")
    assert outcome.code == 2 and "another featx is writing" in outcome.err


def test_info_says_what_is_there(tmp_path: Path, featx) -> None:
    path = tmp_path / "s"
    with StoreWriter(path, fingerprint(), "hdf5", model_source="tiny") as writer:
        writer.add("a", video(20, 0), VideoInfo("a", 1, 2, 320, 240, 5400.0))
        writer.add("b", video(31, 1), VideoInfo("b", 1, 2, None, None, None, complete=False))
    FailureList(path).record(Failure("c", "c", "open", "no", "nothing", []))
    figures = json.loads(featx("store", "info", path, "--json").out)
    assert (figures["videos"], figures["rows"], figures["shards"], figures["hours"]) == (2, 51, 1, 1.5)
    assert figures["bytes"] == (path / "shards" / "shard-00000.h5").stat().st_size
    assert figures["incomplete_videos"] == ["b"] and figures["failed_videos"] == 1
    assert figures["fingerprint"] == fingerprint().model_dump()
    shown = featx("store", "info", path).out
    assert "2 (1 incomplete), 1 failed" in shown and "1.50 (without 1 videos of unknown duration)" in shown
    assert featx("store", "info", tmp_path / "none").code == 2


def test_extract_fills_what_repair_dropped(shape_videos: Path, tmp_path: Path, featx) -> None:
    path = tmp_path / "s"
    words = ["extract", shape_videos, "--to", path, "--model", "tiny"]
    assert featx(*words).code == 0
    before = {video_id: rows.features for video_id, rows, _ in FeatureStore(path).videos()}
    file = path / "shards/shard-00000.zarr/features/c/0/0"
    content = bytearray(file.read_bytes())
    content[1000] ^= 4
    file.write_bytes(content)
    assert featx("store", "verify", path, "--repair").code == 4
    assert len(FeatureStore(path)) == 0
    assert featx(*words).code == 0
    assert featx("store", "verify", path).code == 0
    after = {video_id: rows.features for video_id, rows, _ in FeatureStore(path).videos()}
    assert set(after) == set(before)
    for video_id, features in after.items():
        np.testing.assert_allclose(features, before[video_id], atol=1e-2)  # batches held other frames
