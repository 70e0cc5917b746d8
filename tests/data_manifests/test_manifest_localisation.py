"""The readers of THUMOS14 and ActivityNet on files in the official forms that carry their traps."""

import copy
from pathlib import Path

import pytest
from localisation_files import ACTIVITYNET, write_json, write_thumos14

from featx.data_manifests.official.info.read import read_dataset_info
from featx.manifest.videos import Manifest, Span, read_manifest


def touch(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


@pytest.fixture
def make(tmp_path: Path, featx):
    """Runs `featx manifest NAME` into tmp_path/m.jsonl with tmp_path/videos; returns manifest and report."""

    def run(*words: object) -> tuple[Manifest, str]:
        outcome = featx("manifest", *words, "--videos", tmp_path / "videos", "--to", tmp_path / "m.jsonl")
        assert outcome.code == 0, outcome.err
        return read_manifest(tmp_path / "m.jsonl"), outcome.out

    return run


def shown(manifest: Manifest) -> dict[str, list[tuple[str, float, float]]]:
    return {
        video.id: [(one.label, one.start_s, one.end_s) for one in video.segments] for video in manifest.videos
    }


THUMOS14_VIDEOS = [
    "validation/video_validation_0000051.mp4",
    "video_validation_0000160.mp4",
    *(
        f"TH14_test_set_mp4/video_test_{number}.mp4"
        for number in ("0000004", "0000028", "0000270", "0000814")
    ),
    *(f"TH14_test_set_mp4/video_test_{number}.mp4" for number in ("0001292", "0001496")),
]


@pytest.fixture
def thumos14(tmp_path: Path) -> Path:
    write_thumos14(tmp_path / "annotations")
    touch(tmp_path / "videos", *THUMOS14_VIDEOS)
    return tmp_path / "annotations"


def test_thumos14_reads_both_subsets_as_they_are(thumos14: Path, make) -> None:
    manifest, report = make("thumos14", "--annotations", thumos14)
    test = "TH14_test_set_mp4/video_test_"
    assert shown(manifest) == {
        THUMOS14_VIDEOS[0]: [("CricketBowling", 67.5, 75.9), ("CricketBowling", 85.9, 90.6)],
        THUMOS14_VIDEOS[1]: [("CleanAndJerk", 1.5, 9.0)],
        f"{test}0000004.mp4": [("CricketBowling", 0.2, 1.1), ("CricketBowling", 1.4, 2.3)],
        # each CliffDiving instance is a Diving one, too
        f"{test}0000028.mp4": [("CliffDiving", 10.0, 14.5), ("Diving", 10.0, 14.5), ("Diving", 30.0, 33.0)],
        f"{test}0000270.mp4": [("CricketBowling", 1.0, 2.0)],
        f"{test}0000814.mp4": [("CricketBowling", 200.0, 900.0)],
        "video_test_0001081.mp4": [("CleanAndJerk", 5.0, 6.0)],  # missing, and stays in
        f"{test}0001292.mp4": [],
        f"{test}0001496.mp4": [("Diving", 3.0, 4.0)],
    }
    assert [video.split for video in manifest.videos] == ["train"] * 2 + ["test"] * 7
    assert manifest.by_id[f"{test}0001292.mp4"].ambiguous == [Span(start_s=1.1, end_s=20.6)]
    assert manifest.by_id[f"{test}0000028.mp4"].ambiguous == [Span(start_s=40.0, end_s=45.0)]
    assert manifest.by_id[THUMOS14_VIDEOS[0]].ambiguous == [Span(start_s=2.0, end_s=3.0)]
    assert manifest.header.classes == {
        "CleanAndJerk": "Clean And Jerk",
        "CliffDiving": "Cliff Diving",
        "CricketBowling": "Cricket Bowling",
        "Diving": "Diving",
    }
    assert manifest.header.exclusion == "213" and manifest.header.excluded == {}
    assert (manifest.file.parent / "m.missing.txt").read_text() == "video_test_0001081.mp4\n"
    for words in [
        "test: 9 segments in 6 videos, 2 ambiguous intervals, 1 videos have no segment",
        "4 of 20 classes",
        "--exclude 213: 0 test videos left out",
        "every CliffDiving instance is also annotated as Diving",
        "video_test_0001081 (instances that end after the video)",
        "official instances: 3,007 in train, 3,358 in test",
    ]:
        assert words in report, report


@pytest.mark.parametrize(
    ("rule", "left_out"),
    [
        ("213", []),
        ("212", ["0001292"]),
        ("211", ["0000270", "0001292"]),
        ("211-wrong", ["0000270", "0001496"]),
        ("210", ["0000270", "0001292", "0001496"]),
    ],
)
def test_thumos14_exclusion_is_in_the_manifest_and_its_count_in_the_report(
    thumos14: Path, make, rule: str, left_out: list[str]
) -> None:
    whole, _ = make("thumos14", "--annotations", thumos14)
    manifest, report = make("thumos14", "--annotations", thumos14, "--exclude", rule)
    assert 213 - len(left_out) == int(rule.partition("-")[0])
    gone = {video.id for video in whole.videos} - {video.id for video in manifest.videos}
    assert {video_id[-11:-4] for video_id in gone} == set(left_out)
    assert manifest.header.exclusion == rule
    assert [name.removeprefix("video_test_") for name in manifest.header.excluded] == left_out
    assert f"--exclude {rule}: {len(left_out)} test videos left out" in report
    (row,) = [line.split() for line in report.splitlines() if line.split()[0] == "test"]
    assert row[3:] == [str(7 - len(left_out)), rule.partition("-")[0]]  # listed, official


def test_activitynet_ids_odd_instances_and_held_back_labels(tmp_path: Path, make) -> None:
    write_json(tmp_path / "annotations" / "activity_net.v1-3.min.json", ACTIVITYNET)
    files = ["v_sJQeCE2jiVk.mkv", "train/v_-0r0HEwAYiQ.mp4", "v__EHF2JTpBd4.mp4", "v_v_abcdefghi.webm"]
    touch(tmp_path / "videos", *files, "v_other.mp4")
    manifest, report = make("activitynet", "--annotations", tmp_path / "annotations")
    assert shown(manifest) == {
        files[0]: [("Ballet", 1.0, 12.5), ("Ballet", 20.0, 31.25), ("Ballet", 1.0, 12.5)],
        files[1]: [("Zumba", 5.0, 5.0)],
        files[2]: [("Ballet", 10.0, 20.0), ("Zumba", 40.0, 60.0)],
        files[3]: [("Zumba", 0.0, 50.0)],
        "v_bbbbbbbbbbb.mp4": [],
    }
    assert [video.split for video in manifest.videos] == ["train", "train", "val", "val", "test"]
    assert [video.duration_s for video in manifest.videos] == [30.5, 10.0, 100.0, 50.0, 8.0]
    assert manifest.header.name == "activitynet" and manifest.header.classes == {
        "Ballet": "Ballet",
        "Zumba": "Zumba",
    }
    for words in [
        "train: 4 segments in 2 videos, 1 end after their video, 1 repeat an earlier one, 1 have no length",
        "val: 3 segments in 2 videos",
        "test: no video has segments, so it cannot be scored",
        "2 of 200 classes",
        "10,024",
        "1 videos are missing",
        "1 files belong to no entry, 'v_other.mp4'",
    ]:
        assert words in report, report


def test_exactly_one_v_is_stripped(tmp_path: Path, make) -> None:
    """`v_abc.mp4` is the video `abc`; it must not be taken for `v_abc`, whose own file is missing."""
    content = copy.deepcopy(ACTIVITYNET)
    content["database"] = {
        "v_abc": {"subset": "training", "duration": 9, "annotations": []},
        "abc": content["database"]["_EHF2JTpBd4"],
    }
    write_json(tmp_path / "annotations" / "activity_net.v1-3.min.json", content)
    touch(tmp_path / "videos", "v_abc.mp4")
    manifest, _ = make("activitynet", "--annotations", tmp_path / "annotations")
    assert [(video.id, video.split) for video in manifest.videos] == [
        ("v_v_abc.mp4", "train"),
        ("v_abc.mp4", "val"),
    ]


def test_any_file_of_that_form(tmp_path: Path, make) -> None:
    content = {
        "version": "Thumos14-30fps",
        "database": {
            "video_validation_0000051": {
                "subset": "Validation",
                "duration": 169.79,
                "fps": 30.0,
                "annotations": [{"label": "HighJump", "segment": [1, 2], "segment(frames)": [30, 60], "label_id": 11}],
            },
            "deep/video_test_0000004.mp4": {"subset": "Test", "annotations": []},
        },
    }  # fmt: skip
    file = write_json(tmp_path / "thumos14.json", content)
    touch(tmp_path / "videos", "video_validation_0000051.mp4", "deep/video_test_0000004.mp4")
    words = [
        "activitynet-json",
        file,
        "--name",
        "th",
        "--class-text",
        "camel-case",
        "--subset",
        "validation=train",
    ]
    manifest, _ = make(*words)
    assert [(video.id, video.split, video.duration_s) for video in manifest.videos] == [
        ("video_validation_0000051.mp4", "train", 169.79),
        ("deep/video_test_0000004.mp4", "test", None),
    ]
    assert manifest.header.name == "th" and manifest.header.classes == {"HighJump": "High Jump"}


def test_wrong_files_are_one_line(tmp_path: Path, featx) -> None:
    touch(tmp_path / "videos", "x.mp4")
    write_thumos14(tmp_path / "good")
    write_thumos14(tmp_path / "twice")
    write_thumos14(tmp_path / "twice" / "again")
    (tmp_path / "lines").mkdir()
    for subset in ("val", "test"):
        (tmp_path / "lines" / f"Diving_{subset}.txt").write_text("video_test_0000001 1 2\n")
    (tmp_path / "backwards").mkdir()
    (tmp_path / "backwards" / "Diving_val.txt").write_text("video_validation_0000001 2.5 1.5\n")
    (tmp_path / "short").mkdir()
    (tmp_path / "short" / "Diving_val.txt").write_text("video_validation_0000001 2.5\n")

    def broken(change) -> Path:
        content = copy.deepcopy(ACTIVITYNET)
        change(content["database"])
        return write_json(tmp_path / f"{len(list(tmp_path.iterdir()))}.json", content)

    video = "sJQeCE2jiVk"
    twice = tmp_path / "twice.json"
    twice.write_text('{"database": {"a": {"subset": "x", "annotations": []}, "a": {}}}')
    empty = tmp_path / "empty.json"
    empty.touch()
    cases = {
        "no <Class>_val.txt": ["thumos14", "--annotations", tmp_path / "videos"],
        "must be one of 213 (the official files); 212": [
            "thumos14",
            "--annotations",
            tmp_path / "good",
            "--exclude",
            "214",
        ],
        "Ambiguous_val.txt? Give the folder": ["thumos14", "--annotations", tmp_path / "twice"],
        "is of the other subset, too": ["thumos14", "--annotations", tmp_path / "lines"],
        "Diving_val.txt:1: must begin at 0 s or later and not end before": [
            "thumos14",
            "--annotations",
            tmp_path / "backwards",
        ],
        "Diving_val.txt:1: must be a video and two times": ["thumos14", "--annotations", tmp_path / "short"],
        "no activity_net.v1-3.min.json": ["activitynet", "--annotations", tmp_path / "good"],
        "has no object 'database' (it has results)": [
            "activitynet-json",
            write_json(tmp_path / "r.json", {"results": {}}),
        ],
        "its database holds no video": ["activitynet-json", broken(lambda database: database.clear())],
        "'a' stands twice in one object": ["activitynet-json", twice],
        "empty.json: empty": ["activitynet-json", empty],
        "cannot read it as JSON": ["activitynet-json", tmp_path / "videos"],
        f"video '{video}', annotation 1: ends at 2 s, before it starts at 3 s": [
            "activitynet-json",
            broken(lambda database: database[video]["annotations"][1].update(segment=[3, 2])),
        ],
        f"video '{video}', annotation 0: starts at -1 s, before the video": [
            "activitynet-json",
            broken(lambda database: database[video]["annotations"][0].update(segment=[-1, 2])),
        ],
        f"video '{video}', annotation 2: has no label": [
            "activitynet-json",
            broken(lambda database: database[video]["annotations"][2].pop("label")),
        ],
        "its duration must be seconds, not 'long'": [
            "activitynet-json",
            broken(lambda database: database[video].update(duration="long")),
        ],
        "--subset valdation=train: must be SUBSET=SPLIT": [
            "activitynet-json",
            broken(lambda database: None),
            "--subset",
            "valdation=train",
        ],
    }
    for message, words in cases.items():
        outcome = featx("manifest", *words, "--videos", tmp_path / "videos", "--to", tmp_path / "m.jsonl")
        assert outcome.code == 2 and message in outcome.err, (message, outcome.err)
        assert outcome.err.count("\n") == 1 and not (tmp_path / "m.jsonl").exists()


def test_check_counts_segments(thumos14: Path, make, featx) -> None:
    manifest, _ = make("thumos14", "--annotations", thumos14)
    outcome = featx("manifest", "check", manifest.file)
    assert outcome.code == 0 and "test: 9 segments in 6 videos" in outcome.out


def test_every_excluded_video_has_a_reason() -> None:
    info = read_dataset_info("thumos14")
    assert all(set(rule.videos) <= info.odd_videos.keys() for rule in info.exclusions.values())
