"""Which rows of a store a manifest's videos, parts of videos, and segments are."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import make_store, video

from featx.errors import FeatxError
from featx.extract.plan.videos import find_videos
from featx.features.dataset import list_labelled, list_segments, rows_between
from featx.features.sources import open_parts
from featx.manifest.videos import Header, Manifest, Segment, Video, read_manifest, write_manifest
from featx.store.reader import FeatureStore
from featx.store.schema import VideoFeatures

ROWS = 100  # at 25 a second: 4 s


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(make_store(tmp_path / "features", {"a.mp4": video(ROWS, 0), "b.mp4": video(ROWS, 1)}))


def manifest_of(tmp_path: Path, videos: list[Video]) -> Manifest:
    manifest = Manifest(Header(name="m", classes={"x": "x", "y": "y"}), videos, tmp_path / "m.jsonl")
    write_manifest(manifest)
    return read_manifest(manifest.file)


def part(
    name: str, start_s: float | None, end_s: float | None, label: str = "x", split: str = "train"
) -> Video:
    return Video(
        id=name, path="a.mp4", split=split, label=label, part_of="a.mp4", start_s=start_s, end_s=end_s
    )


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20).map(sorted), st.floats(0, 12), st.floats(0, 12))
def test_rows_between_are_those_shown_then_or_the_nearest(pts: list[float], one: float, other: float) -> None:
    start_s, end_s = sorted((one, other))
    (first, whole), (rows, _) = rows_between(
        np.array(pts), np.array([start_s, 0.0]), np.array([end_s, np.inf])
    )
    assert whole == 0
    shown = [index for index, time in enumerate(pts) if start_s <= time < end_s]
    if shown:
        assert list(range(first, first + rows)) == shown
    else:
        middle = (start_s + end_s) / 2
        assert rows == 1
        assert abs(pts[first] - middle) == min(abs(time - middle) for time in pts)


def test_parts_of_a_video_are_their_rows_of_it(store: FeatureStore, tmp_path: Path) -> None:
    parts = [part("a-1", None, 1.0), part("a-2", 1.0, 3.0, "y"), part("a-3", 3.0, None)]
    videos = list_labelled(store, manifest_of(tmp_path, parts), "train")
    assert videos.labels.tolist() == [0, 1, 0]
    assert list(zip(videos.first_rows.tolist(), videos.rows.tolist(), strict=True)) == [
        (0, 25),
        (25, 50),
        (75, 25),
    ]
    rows = np.array([[0, 3], [0, 49], [1, 24]])
    clips = open_parts(store, videos, "cpu").gather(np.arange(3), rows)
    whole = store["a.mp4"].features
    for clip, first, wanted in zip(clips.numpy(), videos.first_rows, rows, strict=True):
        np.testing.assert_array_equal(clip, whole[first + wanted])


def test_segments_are_videos_of_their_own_and_what_is_not_there_is_listed(
    store: FeatureStore, tmp_path: Path
) -> None:
    videos = [
        Video(id="a.mp4", path="a.mp4", split="train", segments=[
            Segment(start_s=0.5, end_s=1.5, label="y"), Segment(start_s=3, end_s=9, label="x"),
            Segment(start_s=2, end_s=2, label="x"), Segment(start_s=5, end_s=6, label="x"),
        ]),
        Video(id="gone.mp4", path="gone.mp4", split="train", segments=[Segment(start_s=0, end_s=1, label="x")]),
        Video(id="b.mp4", path="b.mp4", split="train"),
    ]  # fmt: skip
    found = list_segments(store, manifest_of(tmp_path, videos), "train")
    assert found.ids == ["a.mp4#0", "a.mp4#1", "a.mp4#2"]
    assert found.first_rows.tolist() == [13, 75, 50]
    assert found.rows.tolist() == [25, 25, 1]
    assert found.labels.tolist() == [1, 0, 0]
    assert found.missing == ["gone.mp4#0", "a.mp4#3"]


def test_a_store_that_ends_before_the_segments_is_refused(store: FeatureStore, tmp_path: Path) -> None:
    late = [Segment(start_s=10 + n, end_s=11 + n, label="x") for n in range(3)]
    manifest = manifest_of(tmp_path, [Video(id="a.mp4", path="a.mp4", split="train", segments=late)])
    with pytest.raises(FeatxError, match="3 of 3 segments of .* before the first or after the last row"):
        list_segments(store, manifest, "train")


def test_a_store_without_times_is_refused(tmp_path: Path) -> None:
    timeless = VideoFeatures(video(ROWS, 0).features, np.full(ROWS, np.nan), np.arange(ROWS, dtype=np.int32))
    store = FeatureStore(make_store(tmp_path / "features", {"a.mp4": timeless}))
    segments = [Segment(start_s=0, end_s=1, label="x")]
    for one in (Video(id="a.mp4", path="a.mp4", split="train", segments=segments), part("p", 1, 2)):
        lister = list_segments if one.segments else list_labelled
        with pytest.raises(FeatxError, match="does not know when"):
            lister(store, manifest_of(tmp_path, [one]), "train")


def test_parts_in_two_splits_may_not_overlap(tmp_path: Path) -> None:
    manifest_of(tmp_path, [part("1", 0, 2), part("2", 2, 4, split="test")])
    with pytest.raises(FeatxError, match="'a.mp4' is in split 'test' and, on line 2, in 'train'"):
        manifest_of(tmp_path, [part("1", 0, 2.5), part("2", 2, 4, split="test")])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"start_s": 1}, "need part_of"),
        ({"part_of": "a", "start_s": 3, "end_s": 2}, "not after its start"),
        ({"segments": [{"start_s": 3, "end_s": 2, "label": "x"}]}, "before it starts"),
        ({"segments": [{"start_s": float("nan"), "end_s": 2, "label": "x"}]}, "finite"),
    ],
)
def test_times_that_cannot_be_are_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Video.model_validate({"id": "v", "path": "v", **fields})


def test_parts_of_one_video_are_extracted_once(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    manifest = manifest_of(tmp_path, [part("1", 0, 2), part("2", 2, None)])
    assert [one.id for one in find_videos([manifest.file]).videos] == ["a.mp4"]
