"""Each reader on files in the official format that carry the traps of that data set."""

import csv
import json
from pathlib import Path

import pytest

from featx.data_manifests.building.names import class_texts, split_camel_case
from featx.data_manifests.official.info.read import read_dataset_info
from featx.extract.plan.videos import find_videos
from featx.manifest.videos import Manifest, read_manifest
from featx.video.files import without_ending


def touch(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def write_csv(file: Path, rows: list[list[object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as lines:
        csv.writer(lines).writerows(rows)


@pytest.fixture
def make(tmp_path: Path, featx):
    """Runs `featx manifest NAME` on tmp_path/annotations and tmp_path/videos; returns manifest and report."""

    def run(name: str, *words: object) -> tuple[Manifest, str]:
        base = ["manifest", name, "--annotations", tmp_path / "annotations", "--videos", tmp_path / "videos"]
        outcome = featx(*base, "--to", tmp_path / "m.jsonl", *words)
        assert outcome.code == 0, outcome.err
        return read_manifest(tmp_path / "m.jsonl"), outcome.out

    return run


def splits(manifest: Manifest) -> dict[str, str]:
    return {video.id: video.split for video in manifest.videos}


HMDB_ODD = [
    "#20_Rhythm_clap_u_nm_np1_fr_goo_0.avi",
    "Hit_It!!;_&_+_@_(Part_[1])_brush_hair_h_cm_np1_fr_med_1.avi",
    "my___hair_brush_hair_u_nm_np1_ba_goo_0.avi",
    "two words 1 brush_hair_0.avi",
]


def test_hmdb51_names_are_taken_as_they_are(tmp_path: Path, make) -> None:
    folder = tmp_path / "annotations" / "testTrainMulti_7030_splits"
    folder.mkdir(parents=True)
    lines = [f"{name} {used} " for name, used in zip(HMDB_ODD, "1201", strict=True)]
    (folder / "brush_hair_test_split1.txt").write_text("\n".join(lines) + "\n")
    (folder / "pullup_test_split1.txt").write_text("a_pullup_0.avi 1 \r\nb_pullup_0.avi 2 \r\n")
    (folder / "brush_hair_test_split2.txt").write_text("other.avi 1\n")
    touch(tmp_path / "videos", *(f"brush_hair/{name}" for name in HMDB_ODD), "pullup/a_pullup_0.mp4")
    manifest, report = make("hmdb51")
    assert manifest.header.classes == {"brush_hair": "brush hairs", "pullup": "pullup"}
    assert splits(manifest) == {
        **dict(zip([f"brush_hair/{name}" for name in HMDB_ODD], ["train", "test", "", "train"], strict=True)),
        "pullup/a_pullup_0.mp4": "train",  # another ending than the annotation's
        "pullup/b_pullup_0.avi": "test",  # missing: kept under its official path
    }
    assert (tmp_path / "m.missing.txt").read_text() == "pullup/b_pullup_0.avi\n"
    assert "1 videos are missing" in report and "2 of 51 classes" in report
    touch(tmp_path / "videos", "pullup/b_pullup_0.avi")
    make("hmdb51")
    assert not (tmp_path / "m.missing.txt").exists()


def test_ids_are_those_of_extraction(tmp_path: Path, make) -> None:
    folder = tmp_path / "annotations"
    folder.mkdir()
    (folder / "clap_test_split3.txt").write_text("a.avi 1\nb.avi 2\n")
    touch(tmp_path / "videos", "deep/clap/a.MP4", "b.webm")  # in a deeper folder, and flat
    manifest, _ = make("hmdb51", "--split-number", 3)
    by_folder = {video.id: video.path.resolve() for video in find_videos([tmp_path / "videos"]).videos}
    by_manifest = {video.id: video.path.resolve() for video in find_videos([manifest.file]).videos}
    assert by_folder == by_manifest and set(by_folder) == {"deep/clap/a.MP4", "b.webm"}


def test_a_file_in_another_class_folder_is_not_taken(tmp_path: Path, make) -> None:
    folder = tmp_path / "annotations"
    folder.mkdir()
    (folder / "kick_test_split1.txt").write_text("1.avi 1\n")
    (folder / "kick_ball_test_split1.txt").write_text("1.avi 2\n")
    touch(tmp_path / "videos", "kick ball/1.avi")
    manifest, _ = make("hmdb51")
    assert splits(manifest) == {"kick/1.avi": "train", "kick ball/1.avi": "test"}
    assert (tmp_path / "m.missing.txt").read_text() == "kick/1.avi\n"


def test_ucf101_spellings_and_class_numbers(tmp_path: Path, make, featx) -> None:
    folder = tmp_path / "annotations" / "ucfTrainTestlist"
    folder.mkdir(parents=True)
    (folder / "classInd.txt").write_text("1 ApplyEyeMakeup\r\n37 HandstandPushups\r\n101 YoYo\r\n")
    train = [
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1",
        "HandstandPushups/v_HandStandPushups_g01_c01.avi 37",
    ]
    (folder / "trainlist02.txt").write_text("\r\n".join(train) + "\r\n")
    test = ["HandStandPushups/v_HandStandPushups_g02_c01.avi", "YoYo/v_YoYo_g01_c01.avi"]
    (folder / "testlist02.txt").write_text("\n".join(test))
    files = ["ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", "HandStandPushups/v_HandstandPushups_g01_c01.avi"]
    files += ["HandStandPushups/v_HandStandPushups_g02_c01.avi", "YoYo/v_YoYo_g01_c01.avi"]
    touch(tmp_path / "videos", *files)
    manifest, _ = make("ucf101", "--split-number", 2)
    assert [video.id for video in manifest.videos] == files
    assert [video.split for video in manifest.videos] == ["train", "train", "test", "test"]
    texts = {"ApplyEyeMakeup": "Apply Eye Makeup", "HandstandPushups": "Handstand Pushups", "YoYo": "Yo Yo"}
    assert manifest.header.classes == texts and list(manifest.header.classes) == list(texts)
    (folder / "trainlist02.txt").write_text("YoYo/v_YoYo_g02_c01.avi 1\n")
    words = ["--annotations", folder, "--videos", tmp_path / "videos", "--to", tmp_path / "m.jsonl"]
    outcome = featx("manifest", "ucf101", *words, "--split-number", 2)
    assert outcome.code == 2 and "trainlist02.txt:1: class number 1, but 'YoYo' is 101" in outcome.err


OVERLAPS = {
    "hmdb51": {"wave_test_split1.txt": "a.avi 1\nb.avi 1\n", "yawn_test_split1.txt": "a.avi 2\n"},
    "ucf101": {
        "classInd.txt": "1 Wave\n",
        "trainlist01.txt": "Wave/a.avi 1\nWave/b.avi 1\n",
        "testlist01.txt": "Wave/A.avi\n",
    },
    "kinetics400": {
        "train.csv": "label,youtube_id,time_start,time_end,split\nwave,a,0,10,train\nwave,b,0,10,train\n",
        "validate.csv": "label,youtube_id,time_start,time_end,split\nwave,a,10,20,validate\n",
    },
    "activitynet": {
        "activity_net.v1-3.min.json": '{"database": {"a.mp4": {"subset": "training", "annotations": []}, "b": {"subset": '
        '"training", "annotations": []}, "a.avi": {"subset": "validation", "annotations": []}}}'
    },
    "lsmdc": {
        "LSMDC16_annos_training.csv": "m_00.00.01.000-00.00.02.000\t0\t0\t0\t0\tone\n",
        "LSMDC16_annos_val.csv": "m_00.00.01.000-00.00.02.000\t0\t0\t0\t0\ttwo\n",
    },
    "didemo": {
        "train_data.json": '[{"video": "a.mov", "description": "one"}, {"video": "b.mov", "description": "one"}]',
        "test_data.json": '[{"video": "a.", "description": "two"}]',
    },
}


@pytest.mark.parametrize("name", OVERLAPS)
def test_a_test_entry_whose_file_is_learned_from_is_an_error(tmp_path: Path, featx, name: str) -> None:
    for file, text in OVERLAPS[name].items():
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations" / file).write_text(text)
    touch(
        tmp_path / "videos", *(["m_00.00.01.000-00.00.02.000.avi"] if name == "lsmdc" else ["a.avi", "b.avi"])
    )
    words = [
        "--annotations",
        tmp_path / "annotations",
        "--videos",
        tmp_path / "videos",
        "--to",
        tmp_path / "m.jsonl",
    ]
    outcome = featx("manifest", name, *words)
    assert outcome.code == 2, outcome.out
    assert (
        "1 entries contradict earlier ones of the same file: " in outcome.err
        and "--allow-overlap" in outcome.err
    )
    assert "' here, 'train' there" in outcome.err and not (tmp_path / "m.jsonl").exists()
    assert featx("manifest", name, *words, "--allow-overlap").code == 0
    assert "'train' there" in (tmp_path / "m.repeated.txt").read_text()
    assert {video.split for video in read_manifest(tmp_path / "m.jsonl").videos} == {"train"}


def test_official_counts_of_ucf101() -> None:
    counts = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}
    known = read_dataset_info("ucf101").counts
    assert {number: (split["train"], split["test"]) for number, split in known.items()} == counts
    assert {sum(split) for split in counts.values()} == {13_320}  # videos in all


def test_class_text_rules() -> None:
    assert split_camel_case("BMX") == "BMX" and split_camel_case("CleanAndJerk") == "Clean And Jerk"
    assert class_texts(["HandStandPushups"], "camel-case", {"HandStandPushups": "x"}) == {
        "HandStandPushups": "x"
    }
    assert class_texts(["climb__stairs"], "underscores", {}) == {"climb__stairs": "climb stairs"}
    assert without_ending("a/b.c.MKV") == "a/b.c" and without_ending("a.b/c.d") == "a.b/c.d"


KINETICS_LABELS = ["skiing (not slalom, or crosscountry)", 'playing "air, guitar"', "massaging person's head"]
COLUMNS = ["label", "youtube_id", "time_start", "time_end", "split"]


def test_kinetics_ids_and_labels(tmp_path: Path, make) -> None:
    a, b, c = KINETICS_LABELS
    rows = [
        [a, "---QUuC4vJs", 84, 94, "train"],
        [b, "-3B32lodo2M", 5, 15, "train"],
        [c, "_dbcJuKJQNs", 0, 10, "train"],
    ]
    write_csv(tmp_path / "annotations" / "train.csv", [[*COLUMNS, "is_cc"], *([*row, 0] for row in rows)])
    validation = [[a, "aaaaaaaaaaa", 1, 11, "val"], [c, "bbbbbbbbbbb", 1, 11, "val"]]
    file = tmp_path / "annotations" / "validate.csv"
    write_csv(file, [COLUMNS, *validation])
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())  # a byte-order mark
    write_csv(tmp_path / "annotations" / "test.csv", [COLUMNS[1:], ["ccccccccccc", 3, 13, "test"]])
    files = [f"train/{a}/---QUuC4vJs_000084_000094.mp4", f"train/{b.replace(' ', '_')}/-3B32lodo2M.mkv"]
    files += ["_dbcJuKJQNs_000000_000010.webm", f"val/{a}/aaaaaaaaaaa_000001_000011.mp4"]
    files += [f"val/{a}/aaaaaaaaaaa_000002_000012.mp4", "ccccccccccc.mp4"]
    touch(tmp_path / "videos", *files)
    manifest, report = make("kinetics400")
    assert splits(manifest) == {
        **dict.fromkeys(files[:3], "train"),
        files[3]: "val",
        f"{c}/bbbbbbbbbbb_000001_000011.mp4": "val",
        files[5]: "test",
    }
    assert manifest.header.classes == {label: label for label in sorted(KINETICS_LABELS)}
    assert manifest.by_id[files[5]].label is None and "1 videos have no label" in report
    assert "1 files belong to no entry" in report  # the other time of aaaaaaaaaaa
    assert "Kinetics-700's training set" in report and "246,534" in report


def test_a_bare_id_serves_one_entry(tmp_path: Path, make) -> None:
    rows = [["x", "aaaaaaaaaaa", 0, 10, "train"], ["y", "aaaaaaaaaaa", 20, 30, "train"]]
    write_csv(tmp_path / "annotations" / "kinetics700" / "train.csv", [COLUMNS, *rows])
    touch(tmp_path / "videos", "aaaaaaaaaaa.mp4")
    manifest, report = make("kinetics700")
    assert len(manifest.videos) == 1 and "1 entries repeat" in report
    (line,) = (tmp_path / "m.repeated.txt").read_text().splitlines()
    assert "train.csv:3" in line and "class 'y' here, 'x' there" in line


def test_several_files_of_one_entry_are_listed(tmp_path: Path, make) -> None:
    write_csv(tmp_path / "annotations" / "val.csv", [COLUMNS, ["x", "aaaaaaaaaaa", 0, 10, "val"]])
    touch(tmp_path / "videos", "one/aaaaaaaaaaa.mkv", "one/aaaaaaaaaaa.mp4", "two/aaaaaaaaaaa.mp4")
    manifest, report = make("kinetics700")
    assert list(splits(manifest)) == ["one/aaaaaaaaaaa.mp4"]
    assert "1 entries have several files" in report and "two/" in (tmp_path / "m.ambiguous.txt").read_text()


def test_features_without_videos_are_enough(tmp_path: Path, featx) -> None:
    """Where only a store is at hand, entries are matched with its ids."""
    from synthetic import make_order_data, tiny_fingerprint

    make_order_data(tmp_path, tiny_fingerprint())
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "growing_test_split1.txt").write_text(
        "train-0.avi 1\ntest-0.avi 2\nlost.avi 2\n"
    )
    words = [
        "--annotations",
        tmp_path / "annotations",
        "--store",
        tmp_path / "features",
        "--to",
        tmp_path / "h.jsonl",
    ]
    assert featx("manifest", "hmdb51", *words).code == 0
    ids = {video.id for video in read_manifest(tmp_path / "h.jsonl").videos}
    assert ids == {"growing/train-0.mp4", "growing/test-0.mp4", "growing/lost.avi"}
    outcome = featx("manifest", "check", tmp_path / "h.jsonl", "--store", tmp_path / "features")
    assert outcome.code == 0 and "the store lacks 'growing/lost.avi'" in outcome.out
    assert "2 videos, 1 classes of 2 to 2, 1 in the store, 1 missing" in outcome.out


def test_wrong_use_is_one_line(tmp_path: Path, featx) -> None:
    annotations, videos = tmp_path / "annotations", tmp_path / "videos"
    touch(videos, "x.mp4")
    (annotations / "deep").mkdir(parents=True)
    (annotations / "deep" / "clap_test_split1.txt").write_text("a.avi 1\n")
    (annotations / "clap_test_split2.txt").write_text("a.avi\n")
    write_csv(annotations / "train.csv", [COLUMNS, ["a", "b", "soon", 10, "train"]])
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps({"clop": "clapping"}))
    to = ["--to", tmp_path / "m.jsonl"]
    base = ["--annotations", annotations, "--videos", videos, *to]
    cases = {
        "no such folder": ["hmdb51", "--annotations", tmp_path / "no", "--videos", videos, *to],
        "has none of the 1 videos; 'a' was looked for, files there look like 'x.mp4'": ["hmdb51", *base],
        "clap_test_split2.txt:1: must be a file name and 0, 1 or 2": ["hmdb51", *base, "--split-number", 2],
        "neither <class>_test_split3.txt files nor train_split03.txt": ["hmdb51", *base, "--split-number", 3],
        "no class 'clop'; did you mean 'clap'": ["hmdb51", *base, "--class-texts", texts],
        "no classInd.txt": ["ucf101", *base],
        "train.csv:2: start and end must be seconds": ["kinetics400", *base],
        "m.json: must end in .jsonl": ["hmdb51", *base[:4], "--to", tmp_path / "m.json"],
        "x.mp4/m.jsonl: cannot write it": [
            "folder",
            "--videos",
            videos.parent,
            "--to",
            videos / "x.mp4" / "m.jsonl",
        ],
        "either --videos or --store": ["hmdb51", "--annotations", annotations, *to],
    }
    for message, words in cases.items():
        outcome = featx("manifest", *words)
        assert outcome.code == 2 and message in outcome.err, (message, outcome.err)
        assert outcome.err.count("\n") == 1 and not (tmp_path / "m.jsonl").exists()
