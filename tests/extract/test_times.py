"""A video's times may begin anywhere: when everything that is said of it moves along, nothing else changes.

All times here are multiples of 1/8 s, so that moving them by 10 s rounds nothing, and results can be asked to be equal.
"""

import dataclasses
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from stores import make_store, video
from synthetic import make_event_data, make_segment_data

from featx.errors import FeatxError
from featx.evaluate.localisation.watershed import STEP_S, watershed
from featx.evaluate.search.exact.search import Hit
from featx.evaluate.search.exact.settings import SearchSettings
from featx.evaluate.search.pictures import take_pictures
from featx.features.dataset import is_shown, list_labelled, list_segments, row_range, timed_rows
from featx.features.windows import slide
from featx.localisation.grid import make_grid, read_steps
from featx.localisation.proposals_file import read_proposals
from featx.localisation.selection import SelectionSettings
from featx.manifest.videos import Header, Manifest, Segment, Span, Video, read_manifest, write_manifest
from featx.scoring.results import read_results
from featx.store.reader import FeatureStore
from featx.store.schema import StoreHeader
from featx.store.writing.writer import StoreWriter
from featx.video.ffmpeg import ffmpeg_path

LATE_S = 10.0
DETECTOR = ["--task", "proposals", "--grid-step-s", 0.125, "--width", 16, "--heads", 2, "--levels", 4, "--window", 5,
            "--stem", 1, "--batch-size", 3, "--learning-rate", 3e-3, "--warmup", 2, "--steps", 12, "--longest", 150,
            "--device", "cpu"]  # fmt: skip
NAMER = ["--task", "localisation", "--prompts", 2, "--layers", 0, "--steps", 10, "--batch-size", 8, "--strides", "1",
         "--stride-weights", "1", "--clip-frames", 8, "--device", "cpu"]  # fmt: skip


def eighths(seconds: float) -> float:
    return round(8 * seconds) / 8


def moved(span: Span, by_s: float) -> Span:
    end_s = max(eighths(span.end_s), eighths(span.start_s) + 0.125)
    return span.model_copy(update={"start_s": eighths(span.start_s) + by_s, "end_s": end_s + by_s})


def late_copy(world: Path, folder: Path, by_s: float) -> Path:
    """Copies a store and its manifest, with times in eighths of a second that are so much later."""
    store, manifest = FeatureStore(world / "features"), read_manifest(world / "manifest.jsonl")
    with StoreWriter(folder / "features", store.header.fingerprint, model_source="tiny") as writer:
        for video_id, one, video_info in store.videos():
            pts = np.maximum.accumulate(np.round(8 * one.pts) / 8) + by_s
            writer.add(video_id, dataclasses.replace(one, pts=pts), video_info)
    videos = [
        one.model_copy(
            update={
                "segments": [moved(span, by_s) for span in one.segments],
                "ambiguous": [moved(span, by_s) for span in one.ambiguous],
            }
        )
        for one in manifest.videos
    ]
    write_manifest(Manifest(manifest.header, videos, folder / "manifest.jsonl"))
    return folder


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Two worlds, each as it is and 10 s later."""
    made = {}
    for name, make in (("events", make_event_data), ("segments", make_segment_data)):
        folder = tmp_path_factory.mktemp(name)
        make(folder / "made")
        made[name] = (
            late_copy(folder / "made", folder / "0", 0.0),
            late_copy(folder / "made", folder / "10", LATE_S),
        )
    return made


def words_of(world: Path) -> list[object]:
    return ["--store", world / "features", "--manifest", world / "manifest.jsonl"]


def assert_later(file: Path, late_file: Path) -> None:
    found, late = read_proposals(file).videos, read_proposals(late_file).videos
    assert found.keys() == late.keys() and sum(map(len, found.values())) > 20
    for video_id, one in found.items():
        np.testing.assert_array_equal(late[video_id].score, one.score)
        np.testing.assert_allclose(late[video_id].start_s, one.start_s + LATE_S, rtol=0, atol=1e-9)
        np.testing.assert_allclose(late[video_id].end_s, one.end_s + LATE_S, rtol=0, atol=1e-9)


def test_a_detector_learns_and_proposes_the_same(worlds, tmp_path: Path, featx) -> None:
    for number, world in enumerate(worlds["events"]):
        run = tmp_path / f"run{number}"
        outcome = featx("train", *words_of(world), *DETECTOR, "--to", run)
        assert outcome.code == 0, outcome.err
        outcome = featx("propose", run, "--keep", 20, "--to", tmp_path / f"{number}.json")
        assert outcome.code == 0, outcome.err
        words = [*words_of(world), "--keep", 20, "--to", tmp_path / f"watershed{number}.json"]
        assert featx("propose", "--watershed", *words).code == 0
    weights, late = (load_file(tmp_path / f"run{number}" / "detector.safetensors") for number in (0, 1))
    for name, one in weights.items():
        np.testing.assert_array_equal(late[name], one)
    assert_later(tmp_path / "0.json", tmp_path / "1.json")


@pytest.fixture
def namers(worlds, tmp_path: Path, featx) -> list[Path]:
    """Runs that name segments, of both worlds, and proposals for them."""
    runs = []
    for number, world in enumerate(worlds["segments"]):
        words = [*words_of(world), "--keep", 20, "--split", "test", "--to", tmp_path / f"p{number}.json"]
        assert featx("propose", "--watershed", *words).code == 0
        runs.append(tmp_path / f"namer{number}")
        outcome = featx("train", *words_of(world), *NAMER, "--to", runs[-1])
        assert outcome.code == 0, outcome.err
    return runs


def test_segments_are_named_and_scored_the_same(namers: list[Path], worlds, tmp_path: Path, featx) -> None:
    weights, late = (load_file(run / "adapter.safetensors") for run in namers)
    for name, one in weights.items():
        np.testing.assert_array_equal(late[name], one)
    metrics, drawn, said = [], [], []
    for number, (run, world) in enumerate(zip(namers, worlds["segments"], strict=True)):
        words = [
            "--proposals",
            tmp_path / f"p{number}.json",
            "--timeline",
            "test-0.mp4",
            "--timeline-format",
            "svg",
        ]
        outcome = featx("eval", run, *words)
        assert outcome.code == 0, outcome.err

        metrics.append(read_results(run)[0].metrics)
        drawn.append((run / "timelines" / "test-0.mp4.svg").read_text().count("<rect"))
        words = ["--store", world / "features", "--adapter", run, "--window", 2, "--format", "json"]
        said.append(json.loads(featx("predict", *words, "--ids", "test-1.mp4").out)["predictions"])
    assert metrics[0] == metrics[1] and metrics[0]["average_map"] > 0
    assert drawn[0] == drawn[1] > 20
    assert len(said[0]) == len(said[1]) > 10
    for one, other in zip(*said, strict=True):
        assert other == one | {"start_s": one["start_s"] + LATE_S, "end_s": one["end_s"] + LATE_S}


@pytest.mark.parametrize("level", ["moments", "frames", "videos"])
def test_a_search_finds_the_same(worlds, level: str, featx) -> None:
    found = []
    for world in worlds["segments"]:
        words = ["search", world / "features", "a video of a red star", "--top", 20, "--level", level]
        outcome = featx(*words, "--format", "json")
        assert outcome.code == 0, outcome.err
        found.append(json.loads(outcome.out)["queries"][0]["finds"])
    assert len(found[0]) == len(found[1]) > 5
    for one, other in zip(*found, strict=True):
        later = {name: pytest.approx(one[name] + LATE_S, abs=1e-6) for name in ("start_s", "end_s")}
        for name in ("start", "end"):
            hours, minutes, seconds = map(float, other.pop(name).split(":"))
            assert 3600 * hours + 60 * minutes + seconds == pytest.approx(other[f"{name}_s"], abs=5.1e-4)
            one.pop(name)
        assert other == one | later


@pytest.mark.parametrize("first_s", [0.0, -0.04, 10.0, 86_400.0, 45_123.456])
def test_grids_and_windows_begin_with_the_first_row(first_s: float) -> None:
    rows = np.random.default_rng(0).standard_normal((160, 4)).astype(np.float32)
    pts = np.arange(160) / 8
    grid, late = make_grid(pts, STEP_S, None), make_grid(pts + first_s, STEP_S, None)
    assert (late.steps, late.start_s) == (grid.steps, first_s)

    def read(first: int, count: int) -> np.ndarray:
        return rows[first : first + count]

    steps = [read_steps(read, one, of, 0, of.steps) for one, of in ((pts, grid), (pts + first_s, late))]
    np.testing.assert_allclose(steps[0], steps[1], atol=1e-5)
    windows, later = slide(pts, 3.0, 1.0), slide(pts + first_s, 3.0, 1.0)
    np.testing.assert_array_equal(windows.first_row, later.first_row)
    np.testing.assert_array_equal(windows.rows, later.rows)
    np.testing.assert_allclose(windows.start_s + first_s, later.start_s)
    selection = SelectionSettings(keep=10)
    found = watershed(lambda first, count: steps[0][first : first + count], grid, selection)
    other = watershed(lambda first, count: steps[0][first : first + count], late, selection)
    # a proposals file has no time before 0, where no annotation can be either
    np.testing.assert_allclose(np.maximum(found.start_s + first_s, 0), other.start_s, atol=1e-9)
    np.testing.assert_allclose(found.end_s + first_s, other.end_s, atol=1e-9)


@pytest.fixture
def late_store(tmp_path: Path) -> FeatureStore:
    """One video whose 100 rows are shown from 10 s to 22.375 s."""
    one = video(100, 0)
    return FeatureStore(
        make_store(tmp_path / "late", {"a.mp4": dataclasses.replace(one, pts=10 + np.arange(100) / 8)})
    )


def part(start_s: float | None, end_s: float | None, **more: object) -> Video:
    return Video(
        id="p", path="a.mp4", split="train", part_of="a.mp4", start_s=start_s, end_s=end_s, label="x", **more
    )


def manifest_of(folder: Path, *videos: Video) -> Manifest:
    return Manifest(Header(name="m", classes={"x": "x"}), list(videos), folder / "m.jsonl")


@pytest.mark.parametrize(
    ("start_s", "end_s", "rows"),
    [
        (None, 11.0, (0, 8)),
        (12.0, 13.0, (16, 8)),
        (22.0, None, (96, 4)),
        (5.0, 10.125, (0, 1)),
        (22.0, 90.0, (96, 4)),
    ],
)
def test_parts_are_given_in_times_of_the_file(
    late_store: FeatureStore,
    tmp_path: Path,
    start_s: float | None,
    end_s: float | None,
    rows: tuple[int, int],
) -> None:
    one = part(start_s, end_s)
    manifest = manifest_of(tmp_path, one)
    assert row_range(late_store, manifest, one) == rows
    first, pts = timed_rows(late_store, manifest, one)
    # what happens in a part is counted from its begin; a part that begins with its video has the file's times
    np.testing.assert_array_equal(pts, late_store.pts("a.mp4")[first : first + rows[1]] - (start_s or 0.0))
    assert list_labelled(late_store, manifest, "train").rows.tolist() == [rows[1]]


@pytest.mark.parametrize(("start_s", "end_s"), [(None, 9.0), (1.0, 2.0), (23.0, None), (50.0, 60.0)])
def test_a_part_outside_the_rows_is_refused(late_store: FeatureStore, tmp_path: Path, start_s, end_s) -> None:
    one = part(start_s, end_s)
    with pytest.raises(
        FeatxError, match=r"'a.mp4' are shown from 10 s to 22.375 s, outside 'p'.*docs/manifest.md"
    ):
        row_range(late_store, manifest_of(tmp_path, one), one)


def test_segments_before_the_first_row_are_missing_as_those_after_the_last(
    late_store: FeatureStore, tmp_path: Path
) -> None:
    spans = [(0.0, 2.0), (3.0, 10.5), (12.0, 14.0), (22.0, 30.0), (30.0, 31.0)]
    segments = [Segment(start_s=start_s, end_s=end_s, label="x") for start_s, end_s in spans]
    one = Video(id="a.mp4", path="a.mp4", split="train", segments=segments)
    found = list_segments(late_store, manifest_of(tmp_path, one), "train")
    assert found.ids == ["a.mp4#1", "a.mp4#2", "a.mp4#3"] and found.missing == ["a.mp4#0", "a.mp4#4"]
    assert found.first_rows.tolist() == [0, 16, 96] and found.rows.tolist() == [4, 16, 4]
    # a segment without length on the first row is there
    assert is_shown(late_store.pts("a.mp4"), 10.0, 10.0) and is_shown(np.zeros(1), 0.0, 0.0)


def test_annotations_that_count_from_elsewhere_are_refused_not_scored_as_misses(
    namers: list[Path], worlds, tmp_path: Path, featx
) -> None:
    """A recording whose times begin hours later, annotated from its first frame: every segment would be missed."""
    early, late = worlds["segments"]
    far = late_copy(late, tmp_path / "far", 45_000.0)
    words = ["--store", far / "features", "--manifest", early / "manifest.jsonl"]
    outcome = featx("eval", namers[0], *words, "--proposals", tmp_path / "p0.json")
    assert outcome.code == 2 and "before the first or after the last row of their videos" in outcome.err
    outcome = featx("train", *words, *DETECTOR, "--to", tmp_path / "detector")
    assert outcome.code == 2 and "give times as docs/manifest.md defines them" in outcome.err


def test_the_headers_version_says_what_times_count_from(late_store: FeatureStore) -> None:
    header = late_store.header.model_dump()
    assert not StoreHeader(**header | {"featx_store": 1}).file_times
    assert StoreHeader(**header | {"featx_store": 2}).file_times


def test_contact_sheets_show_the_same_frames_whatever_times_count_from(tmp_path: Path) -> None:
    file = tmp_path / "late.ts"
    source = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=8:duration=5"]
    command = [
        ffmpeg_path(),
        "-v",
        "error",
        "-itsoffset",
        "10",
        *source,
        "-copyts",
        "-muxdelay",
        "0",
        "-g",
        "16",
    ]
    subprocess.run([*command, "-c:v", "mpeg2video", "-f", "mpegts", file], check=True)
    find = Hit("late.ts", 4, 32, 10.5, 14.5, 0.9)
    sheets = []
    for version, first_s in ((1, 0.0), (2, 10.0)):
        one = dataclasses.replace(video(40, 0), pts=first_s + np.arange(40) / 8)
        store = FeatureStore(make_store(tmp_path / str(version), {"late.ts": one}))
        store.header = store.header.model_copy(update={"featx_store": version})
        pictured = take_pictures(store, [find], SearchSettings(videos=tmp_path))
        sheets.append([picture.jpeg for picture in pictured.of[find]])
        assert [picture.time_s - first_s for picture in pictured.of[find]] == [1.0, 2.0, 3.0, 4.0]
    assert sheets[0] == sheets[1] and len(set(sheets[0])) == 4 and all(sheets[0])


def test_generated_videos_begin_at_0(shape_videos: Path) -> None:
    """So their manifests, which count from the first frame, are in times of the file."""
    av = pytest.importorskip("av")
    with av.open(str(shape_videos / "growing" / "0.mp4")) as container:
        assert container.start_time == 0 and next(container.decode(video=0)).pts == 0
