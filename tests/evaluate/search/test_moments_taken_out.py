"""What `featx search` takes out of a store: scores, times and files in every format, and clips exact to the frame."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from explorer import extract

from featx.evaluate.search.answers import Answer
from featx.evaluate.search.exact.search import Hit
from featx.evaluate.search.moment_lists import edit_list, subtitles
from featx.evaluate.search.places import Place
from featx.output.clock import clock, subtitle_time, time_code
from featx.store.reader import FeatureStore

av = pytest.importorskip("av")


@pytest.fixture(scope="module")
def shape_store(shape_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extract(shape_videos, tmp_path_factory.mktemp("shape-store") / "features")


@pytest.fixture(scope="module")
def real_store(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extract(real_videos, tmp_path_factory.mktemp("real-store") / "features")


def pictures_of(file: Path) -> list[np.ndarray]:
    with av.open(str(file)) as container:
        return [
            frame.to_ndarray(format="gray8").astype(float)
            for frame in container.decode(container.streams.video[0])
        ]


def test_clocks() -> None:
    assert [clock(time) for time in (0, 59.9996, 3661.5, 86400, -0.25)] == [
        *("00:00:00.000", "00:01:00.000", "01:01:01.500", "24:00:00.000", "-00:00:00.250"),
    ]
    assert subtitle_time(3661.5) == "01:01:01,500" and subtitle_time(-1) == "00:00:00,000"
    assert time_code(25 * 3600 + 26, 25) == "01:00:01:01"


def test_no_result_is_below_the_least_score(shape_store: Path, featx) -> None:
    words = ["search", shape_store, "a red star", "--format", "json", "--top", "6"]
    everything = json.loads(featx(*words).out)["queries"][0]["finds"]
    bound = (everything[2]["score"] + everything[3]["score"]) / 2
    outcome = featx(*words, "--min-score", bound)
    assert json.loads(outcome.out)["queries"][0]["finds"] == everything[:3]
    assert f"{len(everything) - 3} of the {len(everything)} best results are below --min-score" in outcome.err
    assert featx(*words, "--min-score", 2).code == 2


def test_every_format_names_files_and_times(shape_store: Path, shape_videos: Path, featx) -> None:
    words = ["search", shape_store, "a red star", "--top", "3"]
    hits = json.loads(featx(*words, "--format", "json").out)["queries"][0]["finds"]
    rows = list(csv.DictReader(io.StringIO(featx(*words, "--format", "csv").out)))
    edl = featx(*words, "--format", "edl").out
    table = featx(*words).out
    assert len(hits) == len(rows) == 3
    for hit, row in zip(hits, rows, strict=True):
        assert Path(hit["file"]) == shape_videos / hit["video"] and row["file"] == hit["file"]
        assert row["start"] == hit["start"] == clock(hit["start_s"]) and hit["start"] in table
        assert row["end"] == hit["end"] == clock(hit["end_s"]) and hit["end"] in table
        assert f"* SOURCE FILE: {hit['file']}\n" in edl
    assert featx(*words, "--format", "xml").code == 2


def test_subtitles_are_of_one_video(shape_store: Path, featx) -> None:
    several = featx("search", shape_store, "a red star", "--format", "srt")
    assert several.code == 2 and "--video ID" in several.err
    one = featx(
        "search", shape_store, "a --> b", "--video", "falling/0.mp4", "--format", "srt", "--windows", "1"
    )
    assert one.code == 0
    cue = r"1\n\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}\na -> b \(-?\d\.\d{3}\)\n"
    assert re.match(cue, one.out)


def test_lists_count_from_the_beginning_of_the_file() -> None:
    """A worked example: a file that begins at 10 s on its own timeline; 25 frames a second."""
    answers = [Answer("q", [Hit("a.ts", 0, 5, 11.0, 12.2, 0.5), Hit("a.ts", 50, 5, 10.0, 11.0, 0.4)])]
    places = {"a.ts": Place(Path("/v/a.ts"), 10.0)}
    assert [line for line in subtitles(answers, places).splitlines() if "-->" in line] == [
        "00:00:00,000 --> 00:00:01,000",
        "00:00:01,000 --> 00:00:02,200",
    ]
    events = [line for line in edit_list(answers, places, "t", 25).splitlines() if line[:3].isdigit()]
    assert events == [
        "001  V0000001 V     C        00:00:01:00 00:00:02:05 00:00:00:00 00:00:01:05",
        "002  V0000001 V     C        00:00:00:00 00:00:01:00 00:00:01:05 00:00:02:05",
    ]


@pytest.mark.parametrize("level", ["moments", "frames", "videos"])
def test_clips_have_exactly_the_frames_of_the_rows(shape_store, shape_videos, tmp_path, featx, level) -> None:
    check_clips(shape_store, shape_videos, tmp_path, featx, level)


def test_clips_of_real_videos_have_exactly_the_frames_of_the_rows(
    real_store: Path, real_videos: Path, tmp_path: Path, featx
) -> None:
    check_clips(real_store, real_videos, tmp_path, featx, "moments")


def check_clips(store_path: Path, videos: Path, to: Path, featx, level: str) -> None:
    """The store says which frames of its file rows are: PyAV decodes file and clip."""
    words = ["search", store_path, "a person", "--windows", 1, "--widen", 0, "--level", level, "--top", 12]
    outcome = featx(*words, "--format", "json", "--cut", to / "clips")
    assert outcome.code == 0, outcome.err
    hits = json.loads(outcome.out)["queries"][0]["finds"]
    clips = sorted((to / "clips").iterdir())
    assert len(clips) == len(hits) > 3 and f"{len(hits)} clips" in outcome.err
    store = FeatureStore(store_path)
    for hit, clip in zip(hits, clips, strict=True):
        frames, shown = pictures_of(videos / hit["video"]), pictures_of(clip)
        rows = store[hit["video"]].frame_index[hit["first_row"] :][: hit["rows"]]
        assert len(shown) == len(rows), clip.name
        height, width = shown[0].shape
        for index, picture in zip(rows, shown, strict=True):
            frame = frames[index] if frames[index].shape == picture.shape else np.rot90(frames[index], -1)
            assert np.abs(picture - frame[:height, :width]).mean() < 4, clip.name
        if len(shown) > 5:

            def apart(by: int, shown=shown, rows=rows, frames=frames) -> float:
                pairs = zip(rows[2:-2] + by, shown[2:-2], strict=True)
                return np.mean([np.abs(frames[index] - one).mean() for index, one in pairs])

            assert apart(0) <= min(apart(-1), apart(1)) + 0.01, clip.name  # some hardly move


def test_copies_are_quick_and_hold_the_rows(shape_store: Path, shape_videos: Path, tmp_path, featx) -> None:
    words = ["search", shape_store, "a red star", "--windows", 1, "--top", 2, "--cut", tmp_path / "clips"]
    hits = json.loads(featx(*words, "--copy", "--format", "json").out)["queries"][0]["finds"]
    for hit, clip in zip(hits, sorted((tmp_path / "clips").iterdir()), strict=True):
        assert len(pictures_of(clip)) >= hit["rows"]


def test_what_cannot_be_cut_is_said(shape_store: Path, tmp_path: Path, featx) -> None:
    (tmp_path / "moved").mkdir()
    words = ["search", shape_store, "a star", "--cut", tmp_path / "c"]
    outcome = featx(*words, "--videos", tmp_path / "moved")
    assert outcome.code == 2 and "clips could not be cut" in outcome.err and "--videos" in outcome.err
    (tmp_path / "file").write_text("")
    assert featx("search", shape_store, "a star", "--cut", tmp_path / "file").code == 2
    assert "--cut DIR" in featx("search", shape_store, "a star", "--copy").err
