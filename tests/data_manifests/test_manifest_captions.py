"""The readers of captioned data sets on files in the official formats that carry the traps of each."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from conftest import SHARED
from test_manifest_readers import touch

from featx.data_manifests.official.didemo import read_didemo
from featx.manifest.videos import Manifest, read_manifest


@pytest.fixture
def make(tmp_path: Path, featx):
    """Runs `featx manifest NAME` on tmp_path/annotations and tmp_path/videos; returns manifest and report."""

    def run(name: str, *words: object) -> tuple[Manifest, str]:
        base = ["manifest", name, "--annotations", tmp_path / "annotations", "--videos", tmp_path / "videos"]
        outcome = featx(*base, "--to", tmp_path / "m.jsonl", *words)
        assert outcome.code == 0, outcome.err
        return read_manifest(tmp_path / "m.jsonl"), outcome.out

    return run


def said(manifest: Manifest, split: str) -> dict[str, list[str]]:
    return {video.id: video.captions for video in manifest.videos if video.split == split}


def msrvtt_files(folder: Path, with_splits: bool = True) -> None:
    """Captions interleaved, out of order and repeated, as in the official file."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = (0, 1, 6513, 7010, 7020, 9999)
    videos = [{"video_id": f"video{number}", "category": 9, "url": "u", "id": number} for number in numbers]
    if with_splits:
        for video, split in zip(videos, ("train", "train", "validate", "test", "test", "test"), strict=True):
            video["split"] = split
    sentences = [
        {"caption": f"{text} {number}", "video_id": f"video{number}", "sen_id": index}
        for index, (text, number) in enumerate((t, n) for t in ("b", "a", "b") for n in reversed(numbers))
    ]
    (folder / "MSRVTT_data.json").write_text(json.dumps({"videos": videos, "sentences": sentences}))
    (folder / "MSRVTT_train.9k.csv").write_text("video_id\nvideo0\nvideo1\nvideo6513\nvideo7010\n")
    (folder / "MSRVTT_train.7k.csv").write_text("video_id\nvideo0\nvideo6513\n")
    rows = [["key", "vid_key", "video_id", "sentence"]]
    rows += [
        ["ret0", "msr7020", "video7020", 'a man, who "sings"'],
        ["ret1", "msr9999", "video9999", "a dog"],
    ]
    with (folder / "MSRVTT_JSFUSION_test.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows(rows)


def test_msrvtt_1k_a(tmp_path: Path, make) -> None:
    msrvtt_files(tmp_path / "annotations")
    touch(tmp_path / "videos", *(f"all/video{number}.mp4" for number in (0, 1, 6513, 7010, 7020)))
    manifest, report = make("msrvtt")
    assert manifest.header.name == "msrvtt"
    assert said(manifest, "test") == {"all/video7020.mp4": ['a man, who "sings"'], "video9999.mp4": ["a dog"]}
    assert said(manifest, "train")["all/video7010.mp4"] == [
        "b 7010",
        "a 7010",
        "b 7010",
    ]  # a test video of the full split
    assert len(said(manifest, "train")) == 4 and not said(manifest, "val")
    assert "1 videos are missing" in report and "no validation set" in report and "9,000" in report
    manifest, report = make("msrvtt", "--protocol", "7k")
    assert manifest.header.name == "msrvtt-7k" and len(said(manifest, "train")) == 2 and "7,010" in report


@pytest.mark.parametrize("with_splits", [True, False])
def test_msrvtt_full(tmp_path: Path, make, with_splits: bool) -> None:
    msrvtt_files(tmp_path / "annotations", with_splits)
    touch(tmp_path / "videos", "video0.mp4")
    manifest, report = make("msrvtt", "--protocol", "full")
    counts = [len(said(manifest, split)) for split in ("train", "val", "test")]
    assert counts == [2, 1, 3] and manifest.header.name == "msrvtt-full"
    assert said(manifest, "test")["video9999.mp4"] == ["b 9999", "a 9999", "b 9999"]
    assert "test: 9 captions; 3 sentences repeat (3 surplus captions)" in report and "2,990" in report


def test_msrvtt_wrong_files(tmp_path: Path, featx) -> None:
    folder = tmp_path / "annotations"
    msrvtt_files(folder)
    touch(tmp_path / "videos", "video0.mp4")
    words = [
        "manifest",
        "msrvtt",
        "--annotations",
        folder,
        "--videos",
        tmp_path / "videos",
        "--to",
        tmp_path / "m.jsonl",
    ]
    cases = {
        "'video7020' is a test video too": ("MSRVTT_train.9k.csv", "video_id\nvideo7020\n"),
        "'video5' has no caption in": ("MSRVTT_train.9k.csv", "video_id\nvideo5\n"),
        "MSRVTT_train.9k.csv:1: no column video_id": ("MSRVTT_train.9k.csv", "video0\n"),
        "'video9' stands there twice": (
            "MSRVTT_JSFUSION_test.csv",
            "video_id,sentence\nvideo9,a\nvideo9,b\n",
        ),
        "must be an object with the lists": ("MSRVTT_data.json", "[]"),
        "sentence 0: has no text under 'caption'": (
            "MSRVTT_data.json",
            '{"videos": [{"video_id": "video0"}], "sentences": [{"video_id": "video0", "caption": " "}]}',
        ),
    }
    for message, (name, content) in cases.items():
        msrvtt_files(folder)
        (folder / name).write_text(content)
        outcome = featx(*words)
        assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1, outcome.err
    outcome = featx(*words, "--protocol", "8k")
    assert outcome.code == 2 and "must be one of 9k, 7k, full" in outcome.err


def test_the_real_1k_a_file_names_its_repeated_sentences(tmp_path: Path, featx) -> None:
    folder = SHARED / "annotations" / "msrvtt"
    if not folder.is_dir():
        pytest.skip("no folder of real annotations; set FEATX_SHARED")
    touch(tmp_path / "videos", "video9770.mp4")
    words = ["--annotations", folder, "--videos", tmp_path / "videos", "--to", tmp_path / "m.jsonl"]
    outcome = featx("manifest", "msrvtt", *words)
    assert outcome.code == 0, outcome.err
    manifest = read_manifest(tmp_path / "m.jsonl")
    assert len(said(manifest, "test")) == 1_000 and manifest.videos[0].captions == [
        "a person is connecting something to system"
    ]
    assert "test: 1,000 captions; 4 sentences repeat (5 surplus captions): " in outcome.out
    for sentence, count in {
        "a woman giving a photoshop tutorial": 2,
        "a man playing video games": 3,
        "someone is playing a game": 2,
        "a group of people are dancing in a room": 2,
    }.items():
        assert f"'{sentence}' x {count}" in outcome.out
        assert sum(video.captions == [sentence] for video in manifest.videos) == count


def lsmdc_line(clip: str, sentence: str) -> str:
    times = clip.rsplit("_", 1)[1].split("-")
    return "\t".join([clip, *times, *times, sentence])


CLIPS = ["0001_American_Beauty_00.00.51.926-00.00.54.129", "0001_American_Beauty_00.01.12.000-00.01.15.500"]


def test_lsmdc(tmp_path: Path, make) -> None:
    folder = tmp_path / "annotations" / "LSMDC"
    folder.mkdir(parents=True)
    lines = [
        lsmdc_line(CLIPS[0], 'SOMEONE says "no, and leaves.'),  # a quote that is never closed
        lsmdc_line(CLIPS[1], "He waits."),
        lsmdc_line(CLIPS[0], "SOMEONE goes\taway."),  # the same clip, and a tab within the sentence
        lsmdc_line("3008_BAD_SANTA_00.00.13.228-00.00.17.700", "  "),
    ]
    (folder / "LSMDC16_annos_training.csv").write_text("\r\n".join(lines) + "\r\n")
    test = "1012_Unbreakable_00.05.16.065-00.05.21.941"
    (folder / "LSMDC16_challenge_1000_publictect.csv").write_text(
        lsmdc_line(test, "A train, seen from afar.") + "\n"
    )
    touch(tmp_path / "videos", f"0001_American_Beauty/{CLIPS[0]}.avi", f"{test}.mp4")
    manifest, report = make("lsmdc")
    assert said(manifest, "train") == {
        f"0001_American_Beauty/{CLIPS[0]}.avi": ['SOMEONE says "no, and leaves.', "SOMEONE goes\taway."],
        f"0001_American_Beauty/{CLIPS[1]}.avi": ["He waits."],  # missing: in its movie's folder
    }
    assert said(manifest, "test") == {f"{test}.mp4": ["A train, seen from afar."]}
    assert (tmp_path / "m.missing.txt").read_text() == f"0001_American_Beauty/{CLIPS[1]}.avi\n"
    assert "train: 3 captions, officially 101,079" in report and "no LSMDC16_annos_val.csv" in report
    assert "1 lines of" in report and "have no sentence and were left out, line 4 first" in report


def test_lsmdc_wrong_lines(tmp_path: Path, featx) -> None:
    folder = tmp_path / "annotations"
    folder.mkdir()
    touch(tmp_path / "videos", "a.avi")
    words = ["--annotations", folder, "--videos", tmp_path / "videos", "--to", tmp_path / "m.jsonl"]
    for message, line in {
        ":1: must be 6 fields between tabs, not 2": "a\tb",
        ":1: 'movie' does not end in a time stamp": "movie\t1\t2\t1\t2\tHe waits.",
    }.items():
        (folder / "LSMDC16_annos_val.csv").write_text(f"{line}\n")
        outcome = featx("manifest", "lsmdc", *words)
        assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1, outcome.err
    (folder / "LSMDC16_annos_val.csv").unlink()
    outcome = featx("manifest", "lsmdc", *words)
    assert outcome.code == 2 and "must hold the official lists" in outcome.err


def didemo_items(*pairs: tuple[str, str]) -> str:
    items = [
        {
            "video": video,
            "description": text,
            "times": [[1, 1], [1, 1]],
            "num_segments": 6,
            "annotation_id": 49152,
        }
        for video, text in pairs
    ]
    return json.dumps(items)


def test_didemo(tmp_path: Path, make) -> None:
    folder = tmp_path / "annotations"
    folder.mkdir()
    stem = "35034348999@N01_6060447507_dc1a90b8ef"
    pairs = [
        (f"{stem}.mov", "a dog runs. "),
        ("other.m4v", "first"),
        (f"{stem}.mp4", "it jumps"),
        (f"{stem}.mov", "it stops"),
        ("third.mov", "third"),
    ]
    (folder / "test_data.json").write_text(didemo_items(*pairs))
    (folder / "train_data.json").write_text(didemo_items(("x.3gp", "one")))
    touch(tmp_path / "videos", f"{stem}.mp4", "other.mp4", "third.mov.mp4", "x.mp4")
    manifest, report = make("didemo")
    assert said(manifest, "test") == {
        f"{stem}.mp4": ["a dog runs. it jumps it stops"],  # in the order of the file, whatever the ending
        "other.mp4": ["first"],
        "third.mov.mp4": ["third"],  # a copy that puts another ending behind the whole name
    }
    assert said(manifest, "train") == {"x.mp4": ["one"]}
    for video in manifest.videos:
        assert (video.stored_id, video.part_start_s, video.part_end_s) == (video.id, 0, 30)
    assert (
        f"test: 1 videos are listed under two endings and taken as one video each, '{stem}' first" in report
    )
    assert "1,004" in report and "no val_data.json" in report
    manifest, report = make("didemo", "--drop-repeated-stems")
    assert list(said(manifest, "test")) == ["other.mp4", "third.mov.mp4"] and "and left out" in report


def test_didemos_names_that_end_in_a_dot_are_stems(tmp_path: Path, make) -> None:
    """`x.` is the video `x`: one with `x.mov`, found as whatever file a copy has of it, dropped with the repeated."""
    folder = tmp_path / "annotations"
    folder.mkdir()
    pairs = [
        ("1@N0_a.", "alone"),
        ("1@N0_b.", "first"),
        ("1@N0_b.mov", "second"),
        ("1@N0_c.mp4", "one"),
        ("1@N0_c.", "two"),
        ("1@N0_d.", "dot"),
        ("1@N0_e.", "bare"),
    ]
    (folder / "test_data.json").write_text(didemo_items(*pairs))
    touch(tmp_path / "videos", "1@N0_a.mp4", "1@N0_b.mov", "1@N0_c.avi", "1@N0_d..mp4", "1@N0_e.")
    manifest, report = make("didemo")
    assert said(manifest, "test") == {
        "1@N0_a.mp4": ["alone"],
        "1@N0_b.mov": ["first second"],
        "1@N0_c.avi": ["one two"],
        "1@N0_d..mp4": ["dot"],
        "1@N0_e.": ["bare"],
    }
    assert "test: 2 videos are listed under two endings" in report and "missing;" not in report
    manifest, _ = make("didemo", "--drop-repeated-stems")
    assert list(said(manifest, "test")) == ["1@N0_a.mp4", "1@N0_d..mp4", "1@N0_e."]


def test_didemos_official_counts() -> None:
    folder = SHARED / "annotations" / "didemo"
    if not folder.is_dir():
        pytest.skip("no official lists of DiDeMo; set FEATX_SHARED")
    read = read_didemo(folder, drop_repeated_stems=False)
    assert Counter(entry.split for entry in read.entries) == {"train": 8395, "val": 1065, "test": 1004}


TABLE = [
    ["name", "file", "sentence", "part", "from", "to"],
    ["c1", "films/long.mkv", "he comes in", "train", "0", "12.5"],
    ["c2", "films/long.mkv", "he goes, again", "train", "12.5", "30"],
    ["c1", "films/long.mkv", "somebody enters", "train", "0", "12.5"],
    ["d", "short", "a dog", "test", "", ""],
]
COLUMNS = ["--id-column", "name", "--path-column", "file", "--captions-column", "sentence", "--split-column", "part",
           "--start-column", "from", "--end-column", "to"]  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_the_general_form_knows_clips_of_longer_videos(tmp_path: Path, featx, ending: str) -> None:
    table = tmp_path / f"table.{ending}"
    if ending == "jsonl":
        rows = [dict(zip(TABLE[0], row, strict=True)) for row in TABLE[1:]]
        rows[0]["sentence"] = ["he comes in", "somebody enters"]
        del rows[2]
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with table.open("w", newline="") as lines:
            csv.writer(lines, delimiter="\t" if ending == "tsv" else ",").writerows(TABLE)
    touch(tmp_path / "videos", "films/long.mkv", "deep/short.mp4")
    words = ["manifest", "captions", table, "--videos", tmp_path / "videos", "--to", tmp_path / "m.jsonl"]
    outcome = featx(*words, *COLUMNS)
    assert outcome.code == 0, outcome.err
    videos = {video.id: video for video in read_manifest(tmp_path / "m.jsonl").videos}
    assert list(videos) == ["c1", "c2", "d"]
    assert videos["c1"].captions == ["he comes in", "somebody enters"]
    assert videos["c2"].captions == ["he goes, again"]
    place = {name: (video.stored_id, video.part_start_s, video.part_end_s) for name, video in videos.items()}
    assert place == {
        "c1": ("films/long.mkv", 0, 12.5),
        "c2": ("films/long.mkv", 12.5, 30),
        "d": ("deep/short.mp4", 0, float("inf")),
    }
    outcome = featx(
        "manifest", "smit", table, "--videos", tmp_path / "videos", "--to", tmp_path / "s.jsonl", *COLUMNS[:8]
    )
    assert outcome.code == 0 and read_manifest(tmp_path / "s.jsonl").header.name == "smit"


def test_without_splits_a_part_is_drawn_and_without_ids_paths_are(tmp_path: Path, featx) -> None:
    rows = ["path,captions", *(f"v{number}.mp4,sentence {number}" for number in range(10)), "v3.mp4,again"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    touch(tmp_path / "videos", *(f"v{number}.mp4" for number in range(10)))
    words = ["--videos", tmp_path / "videos", "--to", tmp_path / "m.jsonl", "--test-fraction", 0.3]
    outcome = featx("manifest", "captions", tmp_path / "t.csv", *words)
    assert outcome.code == 0, outcome.err
    manifest = read_manifest(tmp_path / "m.jsonl")
    assert len(said(manifest, "test")) == 3 and len(said(manifest, "train")) == 7
    assert (
        manifest.by_id["v3.mp4"].captions == ["sentence 3", "again"]
        and manifest.by_id["v3.mp4"].part_of is None
    )


def test_wrong_tables_are_one_line(tmp_path: Path, featx) -> None:
    touch(tmp_path / "videos", "a.mp4")
    for message, content in {
        "t.csv:2: no column 'captions'; did you mean 'caption'": "path,caption\na.mp4,x",
        "t.csv:3: 'captions' is empty": "path,captions\na.mp4,x\na.mp4,",
        "t.csv:2: 'start' must be seconds": "path,captions,start\na.mp4,x,soon",
        "t.csv:2: ends at 2 s, not after its start at 3 s": "path,captions,start,end\na.mp4,x,3,2",
        "t.csv:3: id 'a.mp4' has another file, part or split": "path,captions,split\na.mp4,x,train\na.mp4,y,test",
        "t.csv:2: more cells than columns": "path,captions\na.mp4,x,y",
        "t.csv: no row in it": "path,captions",
    }.items():
        (tmp_path / "t.csv").write_text(content)
        words = ["--videos", tmp_path / "videos", "--to", tmp_path / "m.jsonl"]
        outcome = featx("manifest", "captions", tmp_path / "t.csv", *words)
        assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1, outcome.err
