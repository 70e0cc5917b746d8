"""Prediction: from files what one gets from a store; windows cover the video; what fails is listed."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import CLASSES, tiny_fingerprint

from featx.errors import FeatxError
from featx.evaluate.predict.temporary_features import options_of
from featx.features.windows import end_of, slide, whole
from featx.store.reader import FeatureStore


@pytest.fixture
def run(made_run) -> Path:
    return made_run("train", "--prompts", 2, "--layers", 1, "--steps", 2)


def said(outcome, code: int = 0) -> list[dict]:
    assert outcome.code == code, outcome.err
    return json.loads(outcome.out)["predictions"]


def test_files_give_what_a_store_of_them_gives(shape_videos: Path, run: Path, tmp_path: Path, featx) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes((shape_videos / "falling" / "0.mp4").read_bytes()[:900])
    videos = [shape_videos / "falling" / "0.mp4", broken, shape_videos / "growing" / "0.mp4"]
    outcome = featx("predict", *videos, "--adapter", run, "--window", 1, "--format", "json")
    from_files = said(outcome, code=3)
    assert f"failed: {broken}: " in outcome.err and "1 of 3 videos could not be decoded" in outcome.err
    assert [one["video"] for one in json.loads(outcome.out)["failures"]] == [str(broken)]
    assert {one["video"] for one in from_files} == {str(videos[0]), str(videos[2])}
    assert featx("extract", shape_videos, "--model", "tiny", "--to", tmp_path / "store").code == 0
    words = ["--store", tmp_path / "store", "--adapter", run, "--format", "json"]
    ids = ["--ids", "falling/0.mp4", "--ids", "growing/0.mp4"]
    from_store = said(featx("predict", *words, *ids, "--window", 1))
    for one, other in zip(from_files, from_store, strict=True):
        assert one["video"].endswith(other["video"])
        assert [c["class"] for c in one["classes"]] == [c["class"] for c in other["classes"]]
        assert {k: v for k, v in one.items() if k != "video"} == {
            k: v for k, v in other.items() if k != "video"
        }
    assert len(said(featx("predict", *words))) == 6  # all of the store, whole


def test_what_a_folder_holds_besides_is_said(shape_videos: Path, run: Path, tmp_path: Path, featx) -> None:
    folder = tmp_path / "mine"
    (folder / ".Trash").mkdir(parents=True)
    for name in ("a.mp4", "._b.mp4", ".Trash/c.mp4", "notes.txt"):
        shutil.copy(shape_videos / "falling" / "0.mp4", folder / name)
    outcome = featx("predict", folder, "--adapter", run, "--format", "json")
    assert [one["video"] for one in said(outcome)] == [str(folder / "a.mp4")]
    assert "1 file is not taken as video: 1 .txt" in outcome.err
    assert "2 hidden files and folders are left out: '.Trash/', '._b.mp4'" in outcome.err
    (folder / "a.mp4").unlink()
    (folder / "outside.mp4").symlink_to(shape_videos / "falling" / "0.mp4")
    outcome = featx("predict", folder, "--adapter", run, "--format", "json")
    assert said(outcome, code=3) == [] and "1 of 1 videos could not be decoded" in outcome.err
    assert "failed" in outcome.err and "leads out of the folder; name the file" in outcome.err


def test_whole_videos_are_scored_as_by_eval(class_data: Path, run: Path, tmp_path: Path, featx) -> None:
    from pyarrow import parquet

    assert featx("eval", run, "--save-predictions", tmp_path / "p.parquet").code == 0
    table = parquet.read_table(tmp_path / "p.parquet").to_pydict()
    words = [word for one in table["id"][:12] for word in ("--ids", one)]
    base = ["predict", "--store", class_data / "features", "--adapter", run, "--top", 3]
    predictions = said(featx(*base, *words, "--format", "json"))
    for prediction, scores in zip(predictions, table["scores"], strict=False):
        best = np.argsort(scores)[::-1][:3]
        assert [one["class"] for one in prediction["classes"]] == [list(CLASSES)[index] for index in best]
        assert [one["score"] for one in prediction["classes"]] == pytest.approx(
            [scores[i] for i in best], abs=1e-6
        )
    rows = list(csv.DictReader(io.StringIO(featx(*base, *words, "--format", "csv").out)))
    assert [row["class"] for row in rows[:3]] == [one["class"] for one in predictions[0]["classes"]]
    assert float(rows[0]["score"]) == predictions[0]["classes"][0]["score"]
    assert table["id"][0] in featx(*base, *words).out


def test_a_window_is_scored_like_a_video_of_its_rows(
    class_data: Path, run: Path, tmp_path: Path, featx
) -> None:
    from featx.store.schema import VideoFeatures, VideoInfo
    from featx.store.writing.writer import StoreWriter

    store = FeatureStore(class_data / "features")
    video_id = max(store, key=store.rows)
    video = store[video_id]
    windows = slide(video.pts, 0.8, 0.4)
    with StoreWriter(tmp_path / "cut", store.header.fingerprint, model_source="tiny") as writer:
        for index in range(len(windows)):
            part = slice(windows.first_row[index], windows.first_row[index] + windows.rows[index])
            rows = VideoFeatures(video.features[part], video.pts[part], video.frame_index[part])
            writer.add(f"{index:03}", rows, VideoInfo("x", 1, 1, 64, 64, 0.8))
    for adapter in (
        run,
        *(make_baseline(method, class_data, tmp_path, featx) for method in ("zero-shot", "nearest-mean")),
    ):
        words = ["predict", "--adapter", adapter, "--format", "json"]
        slid = said(featx(*words, "--store", class_data / "features", "--ids", video_id, "--window", 0.8))
        cut = said(featx(*words, "--store", tmp_path / "cut"))
        assert len(slid) == len(cut) > 3
        for one, other in zip(slid, cut, strict=True):
            assert [c["score"] for c in one["classes"]] == pytest.approx(
                [c["score"] for c in other["classes"]], abs=1e-5
            )


def test_features_without_times_are_classified_whole(
    class_data: Path, run: Path, tmp_path: Path, featx
) -> None:
    from featx.store.schema import VideoFeatures, VideoInfo
    from featx.store.writing.writer import StoreWriter

    store = FeatureStore(class_data / "features")
    video = store["red-star/test-0.mp4"]
    with StoreWriter(tmp_path / "imported", store.header.fingerprint, model_source="tiny") as writer:
        rows = VideoFeatures(video.features, np.full(len(video), np.nan), np.full(len(video), -1, np.int32))
        writer.add("v", rows, VideoInfo("v", 1, 1, 64, 64, 1.0))
    words = ["predict", "--store", tmp_path / "imported", "--adapter", run]
    (one,) = said(featx(*words, "--format", "json"))
    assert one["start_s"] is None and one["classes"][0]["class"] == "red-star"
    assert ",,1,red-star," in featx(*words, "--format", "csv").out
    outcome = featx(*words, "--window", 1)
    assert outcome.code == 2 and "leave --window out" in outcome.err and outcome.err.count("\n") == 1


def make_baseline(method: str, world: Path, tmp_path: Path, featx) -> Path:
    words = ["--store", world / "features", "--manifest", world / "manifest.jsonl", "--to", tmp_path / method]
    assert featx("baseline", method, *words).code == 0
    return tmp_path / method


@given(
    st.lists(st.floats(0.001, 3), min_size=1, max_size=60),
    st.floats(0, 100),
    st.floats(0.05, 5),
    st.floats(0.1, 1),
)
def test_windows_cover_the_video(steps: list[float], first: float, window_s: float, share: float) -> None:
    pts = first + np.cumsum([0, *steps])
    windows = slide(pts, window_s, share * window_s)
    end = end_of(pts)
    looked_at = np.zeros(len(pts), dtype=bool)
    for start, rows in zip(windows.first_row, windows.rows, strict=True):
        assert rows >= 1 and start >= 0 and start + rows <= len(pts)
        looked_at[start : start + rows] = True
    assert looked_at.all()
    assert windows.start_s[0] == pts[0] and windows.end_s[-1] == pytest.approx(end)
    assert (windows.start_s[1:] <= windows.end_s[:-1] + 1e-6).all() and (np.diff(windows.start_s) >= 0).all()
    lengths = windows.end_s - windows.start_s
    assert lengths == pytest.approx(np.full(len(windows), min(window_s, end - pts[0])))
    for start_s, end_s, row, rows in zip(
        windows.start_s, windows.end_s, windows.first_row, windows.rows, strict=True
    ):
        inside = np.flatnonzero((pts >= start_s + 1e-6) & (pts < end_s - 1e-6))
        assert set(inside) <= set(range(row, row + rows))  # every frame of a window is in it


def test_a_video_of_one_frame_is_one_window() -> None:
    for windows in (slide(np.array([2.0]), 1.0, 0.5), whole(np.array([2.0]))):
        assert len(windows) == 1 and windows.rows.tolist() == [1] and windows.first_row.tolist() == [0]


@pytest.mark.parametrize(
    "words", [[], ["--fps", "12/5"], ["--every", "3"], ["--frames", "7"], ["--keyframes"], ["--preprocess", "fast"],
              ["--channel-order", "bgr"], ["--precision", "bf16", "--dtype", "float32"],
              ["--square-pixels", "--stream", "1"], ["--deinterlace", "--decode-hwaccel", "cuda"]], ids=" ".join,
)  # fmt: skip
def test_options_make_the_features_that_they_are_read_from(words: list[str]) -> None:
    """What `featx extract` would write into the store for these options is what they were derived from."""
    from featx.encoders.load import load_model
    from featx.extract.cli import app
    from featx.extract.plan.settings import ExtractSettings
    from featx.extract.workers.options import fingerprint_of

    assert app is not None
    given = settings_of(ExtractSettings, words)
    fingerprint = fingerprint_of(given, load_model("tiny"), "cpu")
    again = settings_of(ExtractSettings, options_of(fingerprint))
    assert fingerprint_of(again, load_model("tiny"), "cpu") == fingerprint


def settings_of(model, words: list[str]):
    from featx.settings import gather

    options: dict[str, object] = {"model": "tiny"}
    rest = list(words)
    while rest:
        name = rest.pop(0).removeprefix("--").replace("-", "_")
        options[name] = True if name in ("keyframes", "square_pixels", "deinterlace") else rest.pop(0)
    return gather(model, None, options, [])


def test_features_that_cannot_be_made_here_are_said_to_be() -> None:
    for changes in ({"sampling": "imported"}, {"preprocess": "unknown"}):
        with pytest.raises(FeatxError, match="give --store"):
            options_of(tiny_fingerprint(**changes))


def test_other_classes_by_their_names(class_data: Path, run: Path, tmp_path: Path, featx) -> None:
    (tmp_path / "mine.txt").write_text("red star\nyellow cross\n\n")
    words = ["--store", class_data / "features", "--ids", "red-star/test-0.mp4", "--format", "json"]
    (one,) = said(featx("predict", *words, "--adapter", run, "--classes-file", tmp_path / "mine.txt"))
    assert {c["class"] for c in one["classes"]} == {"red star", "yellow cross"}
    assert one["classes"][0]["class"] == "red star"
    probe = make_baseline("nearest-mean", class_data, tmp_path, featx)
    outcome = featx("predict", *words, "--adapter", probe, "--classes-file", tmp_path / "mine.txt")
    assert outcome.code == 2 and "knows only the classes that it has learned" in outcome.err


def test_classes_of_ones_own_are_neither_merged_nor_cut_unsaid(
    class_data: Path, run: Path, tmp_path: Path, featx
) -> None:
    """A class named twice would have half a probability twice, or take another's place: by label, text or blanks."""
    mine = tmp_path / "mine.txt"
    words = ["--store", class_data / "features", "--ids", "red-star/test-0.mp4", "--format", "json"]
    words += ["--adapter", run, "--classes-file", mine]
    for again in ("yellow cross", "Yellow  CROSS"):
        mine.write_text(f"red star\nyellow cross\n\n{again}\n")
        outcome = featx("predict", *words)
        assert outcome.code == 2 and f"{mine}:4: class '{again}' is that of line 2 again" in outcome.err
    mine.write_text("red-star\nred star\n")  # the run's label of the text that follows
    assert "class 'red star' is that of line 1 again" in featx("predict", *words).err
    mine.write_text("red star\n" + "a very long story " * 40 + "\n")
    outcome = featx("predict", *words)
    assert len(said(outcome)[0]["classes"]) == 2
    assert "warning: 1 of 2 class texts are longer than CLIP's 77 tokens and were cut" in outcome.err
    assert "'a very long story" in outcome.err


def test_wrong_use_is_one_line(
    class_data: Path, shape_videos: Path, run: Path, tmp_path: Path, featx
) -> None:
    (tmp_path / "empty").mkdir()
    store, video = ["--store", class_data / "features"], shape_videos / "falling" / "0.mp4"
    cases = {
        "give either VIDEOS or --store STORE": ["--adapter", run],
        "--adapter: is needed": [video],
        "--ids a: needs --store": [video, "--adapter", run, "--ids", "a"],
        "--hop 2.0: is more than --window 1.0": [video, "--adapter", run, "--window", 1, "--hop", 2],
        "--hop 2.0: needs --window": [video, "--adapter", run, "--hop", 2],
        "no such file or folder": [tmp_path / "none.mp4", "--adapter", run],
        "no video in this folder": [tmp_path / "empty", "--adapter", run],
        "cannot read the adapter": [video, "--adapter", tmp_path / "empty"],
        "no video 'red-star/test-99.mp4'; did you mean": [
            *store,
            "--ids",
            "red-star/test-99.mp4",
            "--adapter",
            run,
        ],
        "--format xml: must be one of table, json, csv": [video, "--adapter", run, "--format", "xml"],
        "featx extract could not make the features: --model tinny": [
            video,
            "--adapter",
            run,
            "--model",
            "tinny",
        ],
    }
    for message, words in cases.items():
        outcome = featx("predict", *words)
        assert outcome.code == 2 and message in outcome.err, (message, outcome.err)
        assert outcome.err.count("\n") == 1
