"""Manifests of one's own videos: class folders and tables."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featx.data_manifests.building.draw import SplitDraw, draw_test_videos
from featx.manifest.videos import read_manifest


def touch(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def by_split(file: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for video in read_manifest(file).videos:
        found.setdefault(video.split, set()).add(video.id)
    return found


def test_class_folders_are_split_by_a_seed(tmp_path: Path, featx) -> None:
    paths = [f"{label}/{number}.mp4" for label in ("play_ball", "wave") for number in range(10)]
    touch(tmp_path / "v", *paths, "loose.mp4", "lone/one.avi")
    (tmp_path / "v" / "empty").mkdir()
    files = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        outcome = featx(
            "manifest",
            "folder",
            "--videos",
            tmp_path / "v",
            "--to",
            tmp_path / f"{name}.jsonl",
            "--seed",
            seed,
        )
        assert outcome.code == 0
        files.append(by_split(tmp_path / f"{name}.jsonl"))
    one, again, other = files
    assert one == again != other
    assert one["train"] | one["test"] == {*paths, "lone/one.avi"} and len(one["test"]) == 4
    assert read_manifest(tmp_path / "a.jsonl").header.classes["play_ball"] == "play ball"
    for said in ("'empty' holds no video", "'loose.mp4' first", "class 'lone' has one video"):
        assert said in outcome.out


@given(st.integers(2, 60), st.floats(0, 1), st.integers(0, 9))
def test_a_draw_leaves_something_to_learn_and_to_test(count: int, fraction: float, seed: int) -> None:
    paths = [str(number) for number in range(count)]
    drawn = draw_test_videos(paths, "x", SplitDraw(fraction, seed))
    assert 1 <= len(drawn) <= count - 1 and drawn <= set(paths)
    assert abs(len(drawn) - fraction * count) <= 1
    assert drawn == draw_test_videos(paths, "x", SplitDraw(fraction, seed))


def test_split_folders_are_taken(tmp_path: Path, featx) -> None:
    touch(tmp_path / "v", "train/wave/a.mp4", "validation/wave/b.mp4", "Test/wave/sub/c.mp4")
    assert featx("manifest", "folder", "--videos", tmp_path / "v", "--to", tmp_path / "m.jsonl").code == 0
    expected = {
        "train": {"train/wave/a.mp4"},
        "val": {"validation/wave/b.mp4"},
        "test": {"Test/wave/sub/c.mp4"},
    }
    assert by_split(tmp_path / "m.jsonl") == expected
    assert read_manifest(tmp_path / "m.jsonl").labels == ["wave"]


def test_a_table_with_columns_of_its_own(tmp_path: Path, featx) -> None:
    touch(tmp_path / "v", "a.mp4", "x/b.mkv", "y/b.mkv", "kick/c.mp4")
    table = tmp_path / "t.csv"
    rows = [
        "file,what,part",
        f'{tmp_path}/v/a.mp4,"wave, twice",train',
        'x/b,"wave, twice",test',
        "c,kick,test",
        "y/d.avi,kick,train",
    ]
    table.write_text("\n".join(rows))
    words = ["--videos", tmp_path / "v", "--to", tmp_path / "m.jsonl", "--video-column", "file"]
    words += ["--label-column", "what", "--split-column", "part"]
    outcome = featx("manifest", "csv", table, *words)
    assert outcome.code == 0, outcome.err
    assert by_split(tmp_path / "m.jsonl") == {
        "train": {"a.mp4", "y/d.avi"},
        "test": {"x/b.mkv", "kick/c.mp4"},
    }
    assert read_manifest(tmp_path / "m.jsonl").by_id["x/b.mkv"].label == "wave, twice"
    assert "1 videos are missing" in outcome.out and "'y/b.mkv' first" in outcome.out


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        ("path,lable,split\na,b,c\n", [], "no column 'label'; did you mean 'lable'"),
        ("path,label,split\na,wave,train\n,wave,test\n", [], "t.csv:3: column 'path' is empty"),
        (
            "path,label,split\na,wave,train\nb,Wave ,test\n",
            [],
            "'wave' (1 videos) and 'Wave' (1) differ by case",
        ),
        (
            "path,label,split\na,wave,train\na.mp4,wave,test\n",
            [],
            "split 'test' here, 'train' there; --allow-overlap",
        ),
        ("path,label,split\n", [], "no row below the header"),
        ("path,label,split, label\na,wave,train,kick\n", [], "t.csv:1: two columns are called 'label'"),
        ("path,label,split\na,wave,train\n", ["--delimiter", ";"], "no column 'path'"),
        ("path,label,split\na,wave,train\n", ["--class-text", "nice"], "must be one of underscores"),
    ],
)
def test_a_wrong_table_is_one_line(tmp_path: Path, featx, text: str, words: list[str], says: str) -> None:
    touch(tmp_path / "v", "a.mp4", "b.mp4")
    (tmp_path / "t.csv").write_text(text)
    base = ["manifest", "csv", tmp_path / "t.csv", "--videos", tmp_path / "v", "--to", tmp_path / "m.jsonl"]
    outcome = featx(*base, *words)
    assert outcome.code == 2 and says in outcome.err, outcome.err
    assert outcome.err.count("\n") == 1 and not (tmp_path / "m.jsonl").exists()


def test_blanks_around_columns_and_cells_are_no_part_of_them(tmp_path: Path, featx) -> None:
    touch(tmp_path / "v", "a.mp4", "b.mp4")
    (tmp_path / "t.csv").write_text(
        "path , label, split\na, wave ,train\nb , wave,test\n", encoding="utf-8-sig"
    )
    base = ["--videos", tmp_path / "v", "--to", tmp_path / "m.jsonl"]
    assert featx("manifest", "csv", tmp_path / "t.csv", *base).code == 0
    assert by_split(tmp_path / "m.jsonl") == {"train": {"a.mp4"}, "test": {"b.mp4"}}
    assert read_manifest(tmp_path / "m.jsonl").labels == ["wave"]
    (tmp_path / "c.csv").write_text(
        " path, captions ,split \na, one,train\nb,two, test\n", encoding="utf-8-sig"
    )
    assert featx("manifest", "captions", tmp_path / "c.csv", *base).code == 0
    said = {video.id: (video.captions, video.split) for video in read_manifest(tmp_path / "m.jsonl").videos}
    assert said == {"a.mp4": (["one"], "train"), "b.mp4": (["two"], "test")}
    (tmp_path / "train.csv").write_text("label, youtube_id ,time_start, time_end\nwave, a,0,10\n")
    touch(tmp_path / "v", "a_000000_000010.mp4")
    assert featx("manifest", "kinetics400", "--annotations", tmp_path, *base).code == 0
    assert read_manifest(tmp_path / "m.jsonl").videos[0].id == "a_000000_000010.mp4"


def test_a_contradiction_can_be_allowed_and_is_listed(tmp_path: Path, featx) -> None:
    touch(tmp_path / "v", "a.mp4")
    (tmp_path / "t.csv").write_text("path,label,split\na,wave,train\na.mp4,wave,test\n")
    base = ["manifest", "csv", tmp_path / "t.csv", "--videos", tmp_path / "v", "--to", tmp_path / "m.jsonl"]
    assert featx(*base, "--allow-overlap").code == 0
    assert by_split(tmp_path / "m.jsonl") == {"train": {"a.mp4"}}
    assert "t.csv:3" in (tmp_path / "m.repeated.txt").read_text()


def test_folders_of_one_class_in_two_spellings_are_refused(tmp_path: Path, featx) -> None:
    touch(tmp_path / "v", "play_ball/a.mp4", "Play ball/b.mp4")
    outcome = featx("manifest", "folder", "--videos", tmp_path / "v", "--to", tmp_path / "m.jsonl")
    assert outcome.code == 2 and "differ by case, underscores or spaces alone" in outcome.err
