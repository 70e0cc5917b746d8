"""`featx eval --detections`: other programs' files on manifests and ActivityNet's JSON, and what is refused."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import plain_localisation as plain
import pytest
from localisation_files import ACTIVITYNET, results, write_json, write_thumos14

from featx.errors import FeatxError
from featx.localisation.detection_scores import score_detections
from featx.localisation.detections_file import read_detections, write_detections
from featx.localisation.ground_truth import json_truth, manifest_truth, read_blocked
from featx.localisation.metrics.intervals import Detections
from featx.localisation.proposals_file import Proposals, ProposalsFile, ProposalsHeader, write_proposals
from featx.manifest.videos import read_manifest
from featx.video.names import NameFinder


@pytest.fixture
def thumos14(tmp_path: Path, featx) -> Path:
    """The manifest of the small THUMOS14, of whose videos one is missing."""
    write_thumos14(tmp_path / "annotations")
    (tmp_path / "videos").mkdir()
    for number in ("0000004", "0000028", "0000270", "0000814", "0001292", "0001496"):
        (tmp_path / "videos" / f"video_test_{number}.mp4").touch()
    words = ["--annotations", tmp_path / "annotations", "--videos", tmp_path / "videos", "--exclude", "211"]
    assert featx("manifest", "thumos14", *words, "--to", tmp_path / "thumos14.jsonl").code == 0
    return tmp_path / "thumos14.jsonl"


@pytest.fixture
def activitynet(tmp_path: Path) -> Path:
    return write_json(tmp_path / "activity_net.v1-3.min.json", ACTIVITYNET)


THUMOS14_RESULTS = results(
    video_test_0000004=[("CricketBowling", 0.2, 1.1, 0.9), ("CricketBowling", 1.4, 2.0, 0.8)],
    video_test_0000028=[
        ("Diving", 10.0, 14.5, 0.7),
        ("CliffDiving", 41.0, 44.0, 0.9),  # ambiguous
        ("CliffDiving", 10.0, 14.0, 0.8),
        ("CleanAndJerk", 30.0, 33.0, 0.1),  # wrong label
    ],
    video_test_0000270=[("CricketBowling", 1.0, 2.0, 0.9)],  # excluded by the manifest's rule
    video_test_0000814=[],
)


def read_csv(text: str) -> list[dict[str, str]]:
    """The first table of what was printed."""
    return list(csv.DictReader(io.StringIO(text.partition("\n\n")[0])))


def test_table_says_rule_videos_and_instances(thumos14: Path, tmp_path: Path, featx) -> None:
    found = write_json(tmp_path / "found.json", THUMOS14_RESULTS)
    outcome = featx("eval", "--detections", found, "--ground-truth", thumos14)
    assert outcome.code == 0, outcome.err
    for words in [
        "Localisation: thumos14, split test, 4 classes, 8 instances",
        "mAP@0.3 %",
        "mAP@0.7 %",
        "official",
        "3/5",
        "scored 3 of 5 videos, 2 missing",
        "found.missing.txt",
        "AP rule official: ActivityNet's program",
        "1 detections left out: of videos that are not scored (excluded by rule 211)",
        "2 videos are not scored: excluded by rule 211",
    ]:
        assert words in outcome.out, outcome.out
    missing = (tmp_path / "found.missing.txt").read_text().splitlines()
    assert missing == ["video_test_0001081.mp4", "video_test_0001496.mp4"]


@pytest.mark.parametrize("rule", ["official", "dedup", "thumos-matlab"])
def test_numbers_are_those_of_plain_loops(thumos14: Path, tmp_path: Path, featx, rule: str) -> None:
    found = write_json(tmp_path / "found.json", THUMOS14_RESULTS)
    words = [
        "--detections",
        found,
        "--ground-truth",
        thumos14,
        "--ap",
        rule,
        "--format",
        "json",
        "--per-class",
    ]
    outcome = featx("eval", *words)
    assert outcome.code == 0, outcome.err
    table, classes = json.loads(outcome.out)
    manifest = read_manifest(thumos14)
    truth = manifest_truth(manifest, None)
    instances = [
        (video.id, one.label, one.start_s, one.end_s)
        for video in manifest.split("test")
        for one in video.segments
    ]
    ambiguous = [
        (video.id, one.start_s, one.end_s) for video in manifest.split("test") for one in video.ambiguous
    ]
    detections = [
        (f"{video}.mp4", one["label"], *one["segment"], one["score"])
        for video, rows in THUMOS14_RESULTS["results"].items()
        for one in rows
        if f"{video}.mp4" in truth.video_ids
    ]
    means = []
    thresholds = [0.3, 0.4, 0.5, 0.6, 0.7]
    aps = plain.mean_average_precision(detections, instances, ambiguous, thresholds, rule)
    for at, threshold in enumerate(thresholds):
        expected = {label: of_class[at] for label, of_class in aps.items()}
        means.append(np.mean(list(expected.values())))
        assert table["rows"][0][f"mAP@{threshold:g} %"] == pytest.approx(100 * means[-1], abs=1e-10)
        printed = {row["class"]: row[f"AP@{threshold:g} %"] for row in classes["rows"]}
        assert printed == pytest.approx({label: 100 * ap for label, ap in expected.items()}, abs=1e-10)
    assert table["rows"][0]["average %"] == pytest.approx(100 * np.mean(means), abs=1e-10)
    assert table["rows"][0]["AP"] == rule
    said = " ".join(table["notes"])
    assert ("under the precision envelope" in said) == (rule == "thumos-matlab")


def test_kinds_of_wrong_detections(thumos14: Path, tmp_path: Path, featx) -> None:
    found = write_json(tmp_path / "found.json", THUMOS14_RESULTS)
    words = ["--detections", found, "--ground-truth", thumos14, "--errors", "--format", "json"]
    for rule, background, ambiguous in (("official", 1, None), ("thumos-matlab", 0, 1)):
        outcome = featx("eval", *words, "--ap", rule)
        _, errors = json.loads(outcome.out)
        counts = {row["kind"]: row["all"] for row in errors["rows"]}
        assert counts.pop("ambiguous", None) == ambiguous
        assert counts == {
            "true positive": 4,
            "double detection": 0,
            "wrong label": 1,
            "localisation": 0,
            "confusion": 0,
            "background": background,
        }
        assert "4 of 8 instances have no detection that hits them" in errors["notes"]


def test_activitynet_json_is_ground_truth_too(activitynet: Path, tmp_path: Path, featx) -> None:
    """Its own thresholds and split, with or without the `v_` of the files."""
    rows = {
        "v__EHF2JTpBd4": [("Ballet", 10.0, 20.0, 0.9), ("Zumba", 40.0, 59.0, 0.8)],
        "v_abcdefghi": [("Zumba", 0.0, 50.0, 0.7)],
    }
    found = write_json(tmp_path / "found.json", results(**rows))
    outcome = featx("eval", "--detections", found, "--ground-truth", activitynet, "--format", "csv")
    assert outcome.code == 0, outcome.err
    (row,) = read_csv(outcome.out)
    assert [name for name in row if name.startswith("mAP")] == [
        f"mAP@{threshold:g} %" for threshold in np.linspace(0.5, 0.95, 10)
    ]
    assert row["mAP@0.95 %"] == "100.0" and row["average %"] == "100.0" and row["scored"] == "2/2"
    assert not (tmp_path / "found.missing.txt").exists()
    words = ["--split", "training", "--ignore-unknown-videos", "--tiou", "0.5,0.75"]
    outcome = featx("eval", "--detections", found, "--ground-truth", activitynet, *words)
    said = "has none of the 2 videos that are asked for, which is less than half: it lacks 'sJQeCE2jiVk' and names"
    assert outcome.code == 2 and said in outcome.err
    found = write_json(tmp_path / "found.json", results(**rows, v_sJQeCE2jiVk=[]))
    outcome = featx("eval", "--detections", found, "--ground-truth", activitynet, *words)
    assert outcome.code == 0 and "split train, 2 classes, 4 instances" in outcome.out
    assert "mAP@0.75 %" in outcome.out and "mAP@0.7 %" not in outcome.out
    assert "3 detections left out: of videos that are not in split 'train'" in outcome.out


def test_whose_overlaps_are_taken_is_said_where_the_file_does_not_say(
    activitynet: Path, tmp_path: Path, featx
) -> None:
    rows = {"v__EHF2JTpBd4": [("Ballet", 10.0, 20.0, 0.9)], "v_abcdefghi": []}
    found, truth = write_json(tmp_path / "found.json", results(**rows)), tmp_path / "truth.json"
    said = "the overlaps are THUMOS14's, as 'truth' is no data set with its own; --tiou says others"
    for version, overlaps, noted in (
        ("VERSION 1.3", 10, False),
        ("ActivityNet v1-3", 10, False),
        ("Thumos14-30fps", 5, False),
        ("2.0", 5, True),
    ):
        write_json(truth, ACTIVITYNET | {"version": version})
        words = ["eval", "--detections", found, "--ground-truth", truth, "--format", "json"]
        table = json.loads(featx(*words).out)
        assert sum(column.startswith("mAP@") for column in table["rows"][0]) == overlaps, version
        assert (said in table["notes"]) == noted
    assert said not in featx(*words, "--tiou", "0.5").out
    named = write_json(tmp_path / "activity_net.v1-3.min.json", ACTIVITYNET | {"version": ""})
    table = json.loads(featx("eval", "--detections", found, "--ground-truth", named, "--format", "json").out)
    assert "mAP@0.95 %" in table["rows"][0]


def test_the_modes_differ_where_instances_are_odd(activitynet: Path, tmp_path: Path, featx) -> None:
    rows = {"sJQeCE2jiVk": [("Ballet", 1.0, 12.5, 0.9)], "-0r0HEwAYiQ": [("Zumba", 5, 5, 0.5)]}
    found = write_json(tmp_path / "found.json", results(**rows))
    words = ["--detections", found, "--ground-truth", activitynet, "--split", "train", "--format", "json"]
    tables = {rule: json.loads(featx("eval", *words, "--ap", rule).out) for rule in ("official", "dedup")}
    # Ballet: one of three instances (one of them twice), one of two; Zumba: no length, so it matches, or is gone
    assert tables["official"]["rows"][0]["average %"] == pytest.approx(100 * (1 / 3 + 1) / 2)
    assert tables["dedup"]["rows"][0]["average %"] == pytest.approx(100 / 2)
    assert "1 detections are of classes that the split does not show" in " ".join(tables["dedup"]["notes"])
    assert "1 classes, 2 instances" in tables["dedup"]["title"]


def test_proposals_have_no_labels(activitynet: Path, tmp_path: Path, featx) -> None:
    rows = {"_EHF2JTpBd4": [{"segment": [40, 60], "score": 0.1}, {"segment": [10, 20], "score": 0.2}]}
    found = write_json(tmp_path / "proposals.json", {"results": rows})
    words = ["--detections", found, "--ground-truth", activitynet, "--as-proposals", "--format", "json"]
    outcome = featx("eval", *words)
    assert outcome.code == 0, outcome.err
    table = json.loads(outcome.out)
    assert table["rows"][0]["AR@100 %"] == pytest.approx(100 * 2 / 3)
    assert table["rows"][0]["AR@1 %"] == pytest.approx(
        100 * 2 / 3
    )  # both: it is 1 on average over two videos
    assert "scored 1 of 2 videos, 1 missing" in table["notes"][0]
    own = Proposals(np.array([40.0, 10.0]), np.array([60.0, 20.0]), np.array([0.1, 0.2]))
    for ending in (".json", ".parquet"):
        write_proposals(
            tmp_path / f"own{ending}", ProposalsFile(ProposalsHeader(), {"v__EHF2JTpBd4.mp4": own})
        )
        again = featx("eval", "--detections", tmp_path / f"own{ending}", *words[2:])
        assert again.code == 0, again.err
        assert {**json.loads(again.out)["rows"][0], "proposals": None} == {
            **table["rows"][0],
            "proposals": None,
        }
    outcome = featx("eval", "--detections", found, "--ground-truth", activitynet)
    assert outcome.code == 2 and "video '_EHF2JTpBd4', detection 0: has no label" in outcome.err


def test_blocked_videos_are_an_explicit_file(activitynet: Path, tmp_path: Path, featx) -> None:
    rows = {"_EHF2JTpBd4": [("Ballet", 10.0, 20.0, 0.9)], "v_abcdefghi": [("Zumba", 0.0, 50.0, 0.7)]}
    found = write_json(tmp_path / "found.json", results(**rows))
    for blocked in (
        write_json(tmp_path / "blocked.json", ["v_abcdefghi", "other"]),
        tmp_path / "blocked.txt",
    ):
        text = "# not on the internet any more\nv_abcdefghi\n\n#\nother\n"
        (tmp_path / "blocked.txt").write_text(text, encoding="utf-8-sig")
        words = ["--detections", found, "--ground-truth", activitynet, "--blocked-videos", blocked]
        outcome = featx("eval", *words)
        assert outcome.code == 0, outcome.err
        assert "2 classes, 2 instances" in outcome.out and "1/1" in outcome.out
        assert "1 videos are not scored: blocked" in outcome.out
        assert "1 detections left out: of videos that are not scored (blocked)" in outcome.out
        strange = f"--blocked-videos {blocked}: 1 of 2 ids are of no video of {activitynet}: 'other'"
        assert strange in outcome.out
    (tmp_path / "blocked.txt").write_text("v_abcdefghj\n")
    outcome = featx("eval", *words)
    assert outcome.code == 2 and not outcome.out
    assert (
        f"--blocked-videos {blocked}: none of its 1 ids is of a video of {activitynet}: 'v_abcdefghj'"
        in outcome.err
    )
    with pytest.raises(FeatxError, match="must be a JSON list"):
        read_blocked(write_json(tmp_path / "blocked.json", {"a": 1}))


def test_seconds_as_text_and_before_the_first_are_numbers(activitynet: Path, tmp_path: Path, featx) -> None:
    """As float() of the official program makes them; annotations of both forms are read alike, with a byte-order mark."""
    rows = {"_EHF2JTpBd4": [("Ballet", "-0.3", "20.0", 0.9)], "v_abcdefghi": [("Zumba", 0.0, 50.0, 0.7)]}
    found, tables = tmp_path / "found.json", []
    for number in (float, str):
        content = json.loads(json.dumps(results(**rows)))
        for one in (one for video in content["results"].values() for one in video):
            one["segment"] = [number(second) for second in one["segment"]]
        found.write_text(json.dumps(content), encoding="utf-8-sig")
        annotated = json.loads(json.dumps(ACTIVITYNET))
        for video in annotated["database"].values():
            for one in video["annotations"]:
                one["segment"] = [number(second) for second in one["segment"]]
        activitynet.write_text(json.dumps(annotated), encoding="utf-8-sig")
        for more in ([], ["--as-proposals"]):
            words = ["--detections", found, "--ground-truth", activitynet, "--format", "json", *more]
            outcome = featx("eval", *words)
            assert outcome.code == 0, outcome.err
            tables.append(json.loads(outcome.out)["rows"])
    assert tables[:2] == tables[2:]
    for bad in ("nan", "1e999", "12,5", ""):
        found.write_text(json.dumps(results(_EHF2JTpBd4=[("Ballet", bad, 20.0, 0.9)], v_abcdefghi=[])))
        outcome = featx("eval", "--detections", found, "--ground-truth", activitynet)
        assert outcome.code == 2 and "its segment must be [start, end] in seconds" in outcome.err


def test_what_is_wrong_is_one_line(thumos14: Path, activitynet: Path, tmp_path: Path, featx) -> None:
    video = "video_test_0000004"

    looked_at = {f"video_test_{number}": [] for number in ("0000028", "0000814", "0001496")}

    def file(**videos) -> Path:
        every = results(**looked_at | videos)
        return write_json(tmp_path / f"found-{len(list(tmp_path.iterdir()))}.json", every)

    def one(**change) -> Path:
        row = {"label": "Diving", "segment": [1, 2], "score": 0.5} | change
        return write_json(
            tmp_path / f"one-{len(list(tmp_path.iterdir()))}.json",
            {"results": {"video_test_0000004": [row]}},
        )

    empty, broken, nothing = tmp_path / "empty.json", tmp_path / "broken.json", tmp_path / "nothing.json"
    empty.touch()
    broken.write_text('{"results": ')
    nothing.write_text('{"results": {}}')
    good = file(**{video: [("Diving", 1.0, 2.0, 0.5)]})
    cases = {
        "1 of 4 videos cannot be scored: 'video_test_0000005' is not in split 'test'": [
            file(video_test_0000005=[("Diving", 1.0, 2.0, 0.5)])
        ],
        "did you mean 'video_test_0000004.mp4'": [file(**{"video_test_0000004b": []})],
        "but in 'train' (--ignore-unknown-videos": [file(video_validation_0000051=[])],
        "1 detections of 1 classes that": [file(**{video: [("Divin", 1.0, 2.0, 0.5)]})],
        "'Divin'; did you mean 'Diving'": [file(**{video: [("Divin", 1.0, 2.0, 0.5)]})],
        f"video '{video}', detection 0: ends at 1 s, before it starts at 2 s": [one(segment=[2, 1])],
        "its segment must be [start, end] in seconds, not [1]": [one(segment=[1])],
        "its segment must be [start, end] in seconds, not [1, inf]": [one(segment=[1, float("inf")])],
        "its score must be a finite number, not nan": [one(score=float("nan"))],
        "its score must be a finite number, not -inf": [one(score=float("-inf"))],
        "its score must be a finite number, not '0.5'": [one(score="0.5")],
        "its score must be a finite number, not None": [one(score=None)],
        "has no label": [one(label=None)],
        "empty.json: empty": [empty],
        "cannot read it as JSON": [broken],
        "nothing.json: its results hold no video": [nothing],
        "has no object 'results' (it has version, taxonomy, database)": [activitynet],
        f"'{video}' and '{video}.mp4' both mean video '{video}.mp4'": [
            file(**{video: [], f"{video}.mp4": []})
        ],
        "no.json: cannot read it": [tmp_path / "no.json"],
        "--tiou 1.5: must be more than 0 and at most 1": [good, "--tiou", "0.5,1.5"],
        "--tiou 0.5: stands there twice": [good, "--tiou", "0.5,0.7,0.5"],
        "--tiou 0.5;0.7": [good, "--tiou", "0.5;0.7"],
        "--ap dedupe": [good, "--ap", "dedupe"],
        "no video in split 'val'": [good, "--split", "val"],
        "--errors go with detections": [good, "--as-proposals", "--errors"],
        "none of its 3 videos has a proposal": [file(video_test_0001496=[]), "--as-proposals"],
        "no proposal in a video that has an instance": [
            *(file(video_test_0001292=[("", 1.0, 2.0, 0.5)]), "--ignore-unknown-videos", "--as-proposals"),
        ],
        "--format tabel": [good, "--format", "tabel"],
        "--store: is not for --detections": [good, "--store", tmp_path],
    }
    for message, (found, *words) in cases.items():
        outcome = featx("eval", "--detections", found, "--ground-truth", thumos14, *words)
        assert outcome.code == 2 and message in outcome.err, (message, outcome.err)
        assert outcome.err.count("\n") == 1 and not outcome.out
    for message, words in {
        "give RUNS, or --detections FILE": [],
        "--ground-truth: is needed": ["--detections", good],
        "run: is about runs": ["run", "--detections", good, "--ground-truth", thumos14],
        "has no object 'database'": ["--detections", good, "--ground-truth", good],
        "--split trial: ": ["--detections", good, "--ground-truth", activitynet, "--split", "trial"],
        "has 1 videos to score, but no segment": [
            *("--detections", good, "--ground-truth", activitynet, "--split", "testing"),
        ],
    }.items():
        outcome = featx("eval", *words)
        assert outcome.code == 2 and message in outcome.err, (message, outcome.err)


def test_unknown_labels_can_be_counted_and_are_never_taken_for_others(
    thumos14: Path, tmp_path: Path, featx
) -> None:
    rows = [("Divin", 10.0, 14.5, 0.9), ("Diving", 10.0, 14.5, 0.8)]
    others = {"video_test_0000004": [], "video_test_0000814": []}
    found = write_json(tmp_path / "found.json", results(video_test_0000028=rows, **others))
    outcome = featx("eval", "--detections", found, "--ground-truth", thumos14, "--ignore-unknown-labels")
    assert outcome.code == 0 and "1 detections left out: of 1 classes that" in outcome.out
    assert "1 detections\n" in outcome.out


def test_what_is_written_is_what_was_found(activitynet: Path, tmp_path: Path) -> None:
    truth = json_truth(activitynet, "val")
    rng = np.random.default_rng(0)
    start = rng.random(50) * 10
    found = Detections(
        np.sort(rng.integers(2, size=50)),
        start,
        start + rng.random(50),
        rng.integers(2, size=50),
        rng.standard_normal(50),
    )
    write_detections(found, truth.video_ids, truth.labels, tmp_path / "found.json")
    read = read_detections(tmp_path / "found.json", truth)
    for name in ("videos", "start_s", "end_s", "labels", "score"):
        assert np.array_equal(getattr(read.detections, name), getattr(found, name))
    assert read.seen.all() and not read.left_out
    assert score_detections(read.detections, truth).metrics == score_detections(found, truth).metrics
    content = json.loads((tmp_path / "found.json").read_text())
    assert content.keys() == {"version", "results", "external_data"}


def test_names_of_videos() -> None:
    finder = NameFinder(["deep/v_abc.mp4", "v_v_abc.mp4", "v_-x.mp4", "v__y.webm", "one/z.mp4", "two/z.mp4"])
    for name, video_id in {
        "abc": "deep/v_abc.mp4",
        "v_abc": "deep/v_abc.mp4",
        "v_v_abc": "v_v_abc.mp4",
        "-x": "v_-x.mp4",
        "_y": "v__y.webm",
        "v__y": "v__y.webm",
        "y": None,
        "z": None,  # two videos are called so
        "one/z.mp4": "one/z.mp4",
    }.items():
        assert finder.find(name) == video_id, name
