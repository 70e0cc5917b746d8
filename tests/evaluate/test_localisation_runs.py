"""Localisation from the command line: learning to name segments, and scoring proposals that are named."""

import json
from pathlib import Path

import numpy as np
import pytest
from synthetic import CLASSES

from featx.data_manifests.moving_shapes.encode import encode
from featx.data_manifests.moving_shapes.world import draw_actor, draw_stage
from featx.localisation.detection_scores import score_detections
from featx.localisation.detections_file import read_detections
from featx.localisation.ground_truth import manifest_truth
from featx.localisation.proposals_file import Proposals, ProposalsFile, ProposalsHeader, write_proposals
from featx.manifest.videos import read_manifest
from featx.model.adapter import read_header
from featx.scoring.results import read_results
from featx.store.reader import FeatureStore

SETTINGS = ["--task", "localisation", "--prompts", 2, "--layers", 0, "--steps", 40, "--batch-size", 16, "--strides", "1",
            "--stride-weights", "1", "--learning-rate", 0.02, "--clip-frames", 8, "--device", "cpu"]  # fmt: skip


def words_of(world: Path) -> list[object]:
    return ["--store", world / "features", "--manifest", world / "manifest.jsonl"]


@pytest.fixture(scope="module")
def proposals(segment_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Segments moved a little, surely, and random spans, less surely."""
    rng = np.random.default_rng(0)
    manifest, videos = read_manifest(segment_data / "manifest.jsonl"), {}
    store = FeatureStore(segment_data / "features")
    for video in manifest.videos:
        spans = [
            (one.start_s + rng.normal(0, 0.4), one.end_s + rng.normal(0, 0.4), 0.9) for one in video.segments
        ]
        for _ in range(10):
            start_s = rng.uniform(0, 15)
            spans.append((start_s, start_s + rng.uniform(1, 5), rng.uniform(0.1, 0.6)))
        videos[video.id] = Proposals(*np.abs(np.array(spans)).T)
    file = tmp_path_factory.mktemp("proposals") / "proposals.json"
    write_proposals(file, ProposalsFile(ProposalsHeader(fingerprint=store.header.fingerprint), videos))
    return file


@pytest.fixture
def run(segment_data: Path, tmp_path: Path, featx) -> Path:
    outcome = featx("train", *words_of(segment_data), *SETTINGS, "--to", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    return tmp_path / "run"


def test_a_run_beats_the_template_and_the_annotated_segments_bound_it(
    segment_data: Path, proposals: Path, run: Path, tmp_path: Path, featx
) -> None:
    template = tmp_path / "template"
    assert featx("train", *words_of(segment_data), *SETTINGS, "--prompts", 0, "--to", template).code == 0
    outcome = featx("eval", run, template, "--proposals", proposals, "--per-class", "--errors")
    assert outcome.code == 0, outcome.err
    assert "8/8" in outcome.out and "mAP@0.3 %" in outcome.out and "double detection" in outcome.out
    assert featx("eval", run, "--proposals", "ground-truth", "--device", "cpu").code == 0
    bound, learned = sorted(read_results(run), key=lambda one: -one.metrics["average_map"])
    baseline, how = tmp_path / "baseline", ["--clip-frames", 8, "--strides", "1", "--stride-weights", "1"]
    words = ["baseline", "zero-shot", "--task", "localisation", "--proposals", proposals, *how]
    assert featx(*words, *words_of(segment_data), "--to", baseline, "--device", "cpu").code == 0
    (zero_shot,), (other,) = read_results(template), read_results(baseline)
    assert other.metrics == zero_shot.metrics and other.method == "zero-shot"
    assert bound.localisation.proposals == "ground-truth" and bound.metrics["proposals_average_map"] == 1
    assert (
        1 >= bound.metrics["average_map"] > learned.metrics["average_map"] > zero_shot.metrics["average_map"]
    )
    assert zero_shot.method == "zero-shot" and learned.task == "localisation" and learned.videos.scored == 8
    instances = sum(len(one.segments) for one in read_manifest(segment_data / "manifest.jsonl").split("test"))
    assert learned.localisation.instances == instances


def test_saved_detections_score_the_same(segment_data, proposals, run, tmp_path, featx) -> None:
    file = tmp_path / "detections.json"
    words = [
        "eval",
        run,
        "--proposals",
        proposals,
        "--save-detections",
        file,
        "--tiou",
        "0.5",
        "--top-classes",
        1,
    ]
    assert featx(*words).code == 0
    (results,) = read_results(run)
    truth = manifest_truth(read_manifest(segment_data / "manifest.jsonl"), "test")
    again = score_detections(read_detections(file, truth).detections, truth, "official", [0.5])
    assert again.metrics == pytest.approx({key: results.metrics[key] for key in again.metrics})
    said = json.loads(file.read_text())["results"]
    assert all(len(found) == 10 + len(read.segments) for read, found in zip(read_manifest(segment_data / "manifest.jsonl").split("test"), said.values(), strict=True))  # fmt: skip


def test_videos_are_found_by_bare_names_as_in_files_of_detections(
    segment_data, proposals, run, tmp_path, featx
) -> None:
    """In scoring and in learning; what a file lacks is named, and with less than half of the videos it is refused."""
    content = json.loads(proposals.read_text())
    bare, half, few = (tmp_path / f"{name}.json" for name in ("bare", "half", "few"))
    short = {f"v_{video_id.removesuffix('.mp4')}": own for video_id, own in content["videos"].items()}
    bare.write_text(json.dumps({"videos": short}))
    half.write_text(json.dumps({"videos": {f"v_test-{n}": short[f"v_test-{n}"] for n in range(4)}}))
    few.write_text(json.dumps({"videos": {f"v_test-{n}": short[f"v_test-{n}"] for n in range(3)}}))
    rows = []
    for file in (proposals, bare):
        outcome = featx("eval", run, "--proposals", file, "--format", "json")
        assert outcome.code == 0, outcome.err
        rows.append(json.loads(outcome.out)["rows"][0] | {"proposals": None})
    assert rows[0] == rows[1]
    outcome = featx("eval", run, "--proposals", half)
    assert (
        outcome.code == 0 and "has no proposals of 4 videos" in outcome.out and "'test-4.mp4'" in outcome.out
    )
    learn = ["train", *words_of(segment_data), *SETTINGS, "--steps", 1, "--proposals"]
    headers = []
    for file in (proposals, bare):
        assert featx(*learn, file, "--to", tmp_path / f"from-{file.stem}").code == 0
        headers.append(json.loads((tmp_path / f"from-{file.stem}" / "summary.json").read_text())["videos"])
    assert headers[0] == headers[1]
    outcome = featx(*learn, few, "--to", tmp_path / "none")
    assert outcome.code == 2 and "has none of the 12 videos" in outcome.err and str(few) in outcome.err


def test_open_set_names_unseen_segments(segment_data, proposals, tmp_path, featx) -> None:
    seen = tmp_path / "seen.txt"
    seen.write_text("red-star\nblue-star\ngreen-circle\nred-circle\n")
    to = tmp_path / "run"
    assert featx("train", *words_of(segment_data), *SETTINGS, "--seen-list", seen, "--to", to).code == 0
    assert len(read_header(to / "adapter.safetensors").classes) == 4
    outcome = featx("eval", to, "--proposals", proposals, "--classes", "unseen")
    assert outcome.code == 0, outcome.err
    (results,) = read_results(to)
    test = read_manifest(segment_data / "manifest.jsonl").split("test")
    unseen = [one for video in test for one in video.segments if one.label in ("green-star", "blue-circle")]
    assert (
        results.localisation.instances == len(unseen)
        and results.classes == 2
        and results.class_set == "unseen"
    )


def test_proposals_and_background_are_learned_from(segment_data, proposals, tmp_path, featx) -> None:
    to, more = tmp_path / "run", ["--proposals", proposals]
    outcome = featx("train", *words_of(segment_data), *SETTINGS, *more, "--to", to)
    assert outcome.code == 0, outcome.err
    header = read_header(to / "adapter.safetensors")
    assert header.config.background == "background" and len(header.classes) == 6
    outcome = featx("eval", to, *more, "--format", "json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["rows"][0]["average %"] > 20
    assert featx("train", *words_of(segment_data), *SETTINGS, "--to", tmp_path / "plain").code == 0
    plain, both = (
        json.loads((one / "summary.json").read_text())["videos"] for one in (tmp_path / "plain", to)
    )
    assert both > plain


ONE = {"start_s": [0], "end_s": [1], "score": [1]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"videos": {"strange.mp4": {"start_s": [0], "end_s": [1], "score": [1]}}}, "has none of the 8 videos"),
        ({"videos": {f"test-{n}": ONE for n in range(3)}}, "has only 3 of the 8 videos"),
        ({"videos": {"test-0.mp4": ONE | {"end_s": [-1]}}}, "before it starts"),
        ({"videos": {f"test-{n}": ONE | {"score": [7]} for n in range(8)}}, "--proposal-weight 0"),
        ({"videos": {}}, "no videos"),
    ],
)  # fmt: skip
def test_wrong_proposals_are_named(run, tmp_path, featx, content, says) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(content))
    outcome = featx("eval", run, "--proposals", file)
    assert outcome.code == 2 and says in outcome.err and str(file) in outcome.err


def test_options_of_another_task_are_refused(class_data, run, tmp_path, featx) -> None:
    other = tmp_path / "other"
    assert featx("train", *words_of(class_data), "--layers", 0, "--steps", 2, "--to", other).code == 0
    outcome = featx("eval", other, run, "--proposals", "ground-truth")
    assert outcome.code == 2 and "one table is about one task" in outcome.err
    outcome = featx("eval", other, "--proposals", "ground-truth")
    assert outcome.code == 2 and "--proposals: is not for recognition runs" in outcome.err
    outcome = featx("eval", run)
    assert outcome.code == 2 and "--proposals: is needed" in outcome.err


def test_timelines_are_drawn_with_frames_where_the_video_is(
    segment_data, proposals, run, tmp_path, featx
) -> None:
    here = tmp_path / "manifest.jsonl"
    here.write_bytes((segment_data / "manifest.jsonl").read_bytes())
    rng = np.random.default_rng(0)
    scene = draw_stage(rng, (draw_actor(rng, "star", "growing", 0.0, 19.0),), 19.0)
    encode(scene, tmp_path / "test-0.mp4", quality=30)
    words = ["eval", run, "--proposals", proposals, "--manifest", here, "--timeline", "test-0.mp4,test-1.mp4"]
    outcome = featx(*words, "--timeline-format", "svg")
    assert outcome.code == 0, outcome.err
    assert "no frames" in outcome.out and "test-1.mp4 is not there" in outcome.out
    drawn = [(run / "timelines" / f"test-{number}.mp4.svg").read_text() for number in (0, 1)]
    assert drawn[0].count("<image") >= 5 and "<image" not in drawn[1]
    test = read_manifest(here).split("test")
    for video, svg in zip(test, drawn, strict=False):
        assert all(CLASSES[one.label] in svg for one in video.segments) and "proposals" in svg
    outcome = featx("eval", run, "--proposals", proposals, "--timeline", "test-99.mp4")
    assert outcome.code == 2 and "--timeline test-99.mp4: was not scored" in outcome.err


def test_predict_says_what_happens_when(segment_data, run, tmp_path, featx) -> None:
    detector = tmp_path / "detector"
    how = ["--grid-step-s", 0.1, "--width", 32, "--heads", 2, "--levels", 4, "--window", 7, "--stem", 0, "--steps", 60,
           "--warmup", 5, "--batch-size", 4, "--learning-rate", 3e-3, "--ema", 0.9, "--keep", 20, "--device", "cpu"]  # fmt: skip
    outcome = featx("train", "--task", "proposals", *words_of(segment_data), *how, "--to", detector)
    assert outcome.code == 0, outcome.err
    words = ["predict", "--store", segment_data / "features", "--adapter", run, "--device", "cpu"]
    outcome = featx(*words, "--detector", detector, "--ids", "test-1.mp4", "--top", 6, "--format", "json")
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)["predictions"]
    assert [one["start_s"] for one in said] == sorted(one["start_s"] for one in said) and len(said) == 6
    file = tmp_path / "proposals.json"
    assert featx("propose", detector, "--split", "test", "--to", file).code == 0
    assert featx("eval", run, "--proposals", file, "--save-detections", tmp_path / "found.json").code == 0
    found = json.loads((tmp_path / "found.json").read_text())["results"]["test-1.mp4"]
    best = sorted(found, key=lambda one: -one["score"])[:6]
    assert sorted(one["classes"][0]["score"] for one in said) == pytest.approx(sorted(one["score"] for one in best), abs=1e-6)  # fmt: skip
    outcome = featx(*words)
    assert outcome.code == 2 and "--detector" in outcome.err


def test_segments_are_kept_back_with_their_video(segment_data, proposals, tmp_path, featx) -> None:
    more = ["--validation", 0.3, "--proposals", proposals, "--to", tmp_path / "run"]
    outcome = featx("train", *words_of(segment_data), *SETTINGS, *more)
    assert outcome.code == 0, outcome.err
    kept = {line.rpartition("#" if "#" in line else "@") for line in (tmp_path / "run" / "validation.txt").read_text().splitlines()}  # fmt: skip
    videos = {video for video, _, _ in kept}
    assert len(videos) == 4  # of 12
    for video in read_manifest(segment_data / "manifest.jsonl").split("train"):
        listed = {number for name, mark, number in kept if name == video.id and mark == "#"}
        assert listed == ({str(n) for n in range(len(video.segments))} if video.id in videos else set())
