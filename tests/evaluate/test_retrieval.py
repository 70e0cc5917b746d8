"""Retrieval from the command line: trained against zero-shot, what is counted, and the table."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from synthetic import CAPTIONED_TEST, caption, text_features

from featx.evaluate.report.table import render
from featx.evaluate.tables.benchmarks import benchmark_table, choose_results
from featx.manifest.videos import Manifest, Video, read_manifest, write_manifest
from featx.metrics.retrieval import corpus, plain, retrieval_metrics
from featx.scoring.results import Results, Retrieval, TrainedOn, Videos, read_results
from featx.store.reader import FeatureStore

WORDS = ["--strides", "1,2", "--stride-weights", "1,1"]


@pytest.fixture(scope="module")
def where(caption_data: Path) -> list[object]:
    return ["--store", caption_data / "features", "--manifest", caption_data / "manifest.jsonl"]


@pytest.fixture
def zero_shot(where, tmp_path: Path, featx) -> Path:
    words = ["baseline", "zero-shot", "--task", "retrieval", *where, *WORDS, "--to", tmp_path / "zero"]
    outcome = featx(*words)
    assert outcome.code == 0, outcome.err
    return tmp_path / "zero"


def rows_of(outcome) -> list[dict]:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)["rows"]


def test_what_is_learned_finds_more_than_zero_shot_in_both_directions(
    where, zero_shot: Path, tmp_path: Path, featx
) -> None:
    more = [
        "--layers",
        1,
        "--steps",
        150,
        "--batch-size",
        32,
        "--learning-rate",
        2e-3,
        "--schedule",
        "cosine",
        "--loss",
        "symmetric",
    ]
    outcome = featx("train", "--task", "retrieval", *where, *WORDS, *more, "--to", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    words = [
        "eval",
        zero_shot,
        tmp_path / "run",
        "--normalise",
        "dual-softmax,query-bank",
        "--format",
        "json",
    ]
    rows = rows_of(featx(*words))
    assert [(row["run"], row["scores"]) for row in rows] == [
        (run, scores) for run in ("zero", "run") for scores in ("plain", "dual softmax", "query bank")
    ]
    zero, learned = rows[0], rows[3]
    print(zero, learned)
    for name in ("t2v R@1 %", "v2t R@1 %"):
        assert learned[name] >= zero[name] + 20, (zero, learned)
    files = sorted(file.name for file in (tmp_path / "run").glob("results-*.json"))
    assert files == [f"results-captions-test{way}.json" for way in ("-dual-softmax", "-query-bank", "")]
    table = featx("table", "retrieval", tmp_path / "run", "--format", "json")
    assert sorted(row["scores"] for row in rows_of(table)) == ["dual softmax", "plain", "query bank"]
    assert featx("table", "closed-set", tmp_path / "run").code == 2


def test_zero_shot_is_the_cosine_of_sentence_and_mean_clip(
    where, zero_shot: Path, caption_data: Path, featx
) -> None:
    """Computed again from the store: five clips of 16 rows, their unit-length means averaged."""
    store, manifest = (
        FeatureStore(caption_data / "features"),
        read_manifest(caption_data / "manifest.jsonl"),
    )
    videos = manifest.split("test")
    texts = list(dict.fromkeys(text for video in videos for text in video.captions))
    text = text_features(texts)
    pooled = []
    for video in videos:
        rows = store[video.id].features.astype(np.float32)
        stride = 1  # of two equally frequent strides the first
        last = len(rows) - 16 * stride
        clips = [
            rows[start : start + 16].mean(axis=0) for start in np.linspace(0, last, 5).round().astype(int)
        ]
        pooled.append(np.mean([clip / np.linalg.norm(clip) for clip in clips], axis=0))
    video = np.stack(pooled)
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (text, video)]
    text_of = np.array([texts.index(text) for video in videos for text in video.captions])
    video_of = np.repeat(np.arange(len(videos)), [len(video.captions) for video in videos])
    of = corpus(unit[0], unit[1], text_of, video_of)
    expected = retrieval_metrics(of, plain(of))
    (results,) = read_results(zero_shot)
    assert results.metrics == pytest.approx(expected, abs=0.05) and results.retrieval is not None
    assert results.retrieval.captions == len(video_of) and results.videos.scored == CAPTIONED_TEST
    assert results.method == "zero-shot" and results.task == "retrieval" and results.classes == 0


def test_repeated_sentences_missing_videos_and_long_ones_are_said(
    where, zero_shot: Path, caption_data: Path, tmp_path: Path, featx
) -> None:
    manifest = read_manifest(caption_data / "manifest.jsonl")
    same = caption(0, "red star", "left")
    videos = [
        video.model_copy(update={"captions": [*video.captions, same]})
        if video.split == "test" and index % 3
        else video
        for index, video in enumerate(manifest.videos)
    ]
    videos.append(Video(id="lost", path="lost", split="test", captions=["a", "b"]))
    write_manifest(Manifest(manifest.header, videos, tmp_path / "other.jsonl"))
    outcome = featx("eval", zero_shot, "--manifest", tmp_path / "other.jsonl")
    assert outcome.code == 0, outcome.err
    assert "1 videos without features, listed in" in outcome.out and "24/25" in outcome.out
    asked = sum(len(video.captions) for video in videos if video.split == "test")
    assert f"{asked - 2}/{asked}" in outcome.out
    assert (
        "sentences were too long and cut" in outcome.out
        and "each caption is a query of its own" in outcome.out
    )
    (results,) = read_results(zero_shot)
    assert results.retrieval is not None and results.retrieval.repeated[same] == 16


@pytest.mark.parametrize(("ties", "rank"), [("average", 12.5), ("optimistic", 1), ("pessimistic", 24)])
def test_ties_count_as_they_are_said_to(
    ties: str, rank: float, zero_shot: Path, caption_data: Path, tmp_path: Path, featx
) -> None:
    """One sentence for all 24 videos: a video cannot tell the captions apart, a caption can tell the videos apart."""
    manifest = read_manifest(caption_data / "manifest.jsonl")
    videos = [video.model_copy(update={"captions": ["a red star"]}) for video in manifest.split("test")]
    write_manifest(Manifest(manifest.header, videos, tmp_path / "same.jsonl"))
    outcome = featx("eval", zero_shot, "--manifest", tmp_path / "same.jsonl", "--ties", ties)
    assert outcome.code == 0 and "1 sentences repeat (23 surplus captions)" in outcome.out, outcome.err
    assert ("ties" in outcome.out) == (ties != "average")
    metrics = read_results(zero_shot)[0].metrics
    assert metrics["v2t_mean_rank"] == metrics["v2t_median_rank"] == rank
    assert metrics["t2v_mean_rank"] == 12.5 and metrics["t2v_r1"] == 1 / 24


def test_a_clip_of_a_longer_video_has_that_part_of_its_rows(
    caption_data: Path, tmp_path: Path, featx
) -> None:
    """Two clips of one video: each finds its own half, which is about another sentence than the other."""
    from synthetic import tiny_fingerprint

    from featx.manifest.videos import Header
    from featx.store.schema import VideoFeatures, VideoInfo
    from featx.store.writing.writer import StoreWriter

    sentences = ["a red star at the left", "a blue ring at the right"]
    text = text_features(sentences)
    rows = np.repeat(text, 40, axis=0)
    with StoreWriter(tmp_path / "features", tiny_fingerprint(), model_source="tiny") as writer:
        features = VideoFeatures(rows.astype(np.float16), np.arange(80) / 25, np.arange(80, dtype=np.int32))
        writer.add("film.mp4", features, VideoInfo("film.mp4", 1, 1, 64, 64, 3.2))
    parts = [(0.0, 1.6), (1.6, 3.2)]
    videos = [
        Video(
            id=f"clip{i}",
            path="film.mp4",
            part_of="film.mp4",
            start_s=a,
            end_s=b,
            split="test",
            captions=[sentences[i]],
        )
        for i, (a, b) in enumerate(parts)
    ]
    write_manifest(Manifest(Header(name="film"), videos, tmp_path / "m.jsonl"))
    words = ["--store", tmp_path / "features", "--manifest", tmp_path / "m.jsonl", "--to", tmp_path / "run"]
    outcome = featx("baseline", "zero-shot", "--task", "retrieval", *words, "--format", "json")
    (row,) = rows_of(outcome)
    assert row["t2v R@1 %"] == row["v2t R@1 %"] == 100 and row["videos"] == "2/2"


def test_wrong_use_is_one_line(
    where, zero_shot: Path, class_data: Path, made_run, tmp_path: Path, featx
) -> None:
    recognition = made_run("train", "--prompts", 0, "--layers", 0)
    base = ["baseline", "linear-probe", "--task", "retrieval", *where, "--to", tmp_path / "n"]
    cases = {
        "score them one after the other": ["eval", zero_shot, recognition],
        "--ties: is not for recognition runs": ["eval", recognition, "--ties", "optimistic"],
        "--classes: is not for retrieval runs": ["eval", zero_shot, "--classes", "seen"],
        "--bank-split test: is scored": ["eval", zero_shot, "--normalise", "query-bank", "--bank-split", "test"],
        "linear-probe is for recognition": base,
        "is about retrieval; score it with: featx eval": ["diagnose", zero_shot],
        "have no caption": ["eval", zero_shot, "--store", class_data / "features", "--manifest", class_data / "manifest.jsonl"],
        "scores classes; learn runs of task=retrieval one by one": [
            "sweep", "train/recipes/retrieval-msrvtt.toml", "--grid", "layers=0", "--to", tmp_path / "s", *where,
        ],
    }  # fmt: skip
    for message, words in cases.items():
        outcome = featx(*words)
        assert outcome.code == 2 and message in outcome.err, (message, outcome.err)
        assert outcome.err.count("\n") == 1


def results_of(**changes: object) -> Results:
    given: dict[str, object] = {
        "task": "retrieval",
        "run": "runs/ours",
        "date": f"{date(2026, 5, 4)}T00:00:00+00:00",
        "config": {
            "task": "retrieval",
            "prompts": 4,
            "layers": 2,
            "clip_frames": 16,
            "suffix": True,
            "template": None,
        },
        "learned_parameters": 1,
        "data_set": "msrvtt",
        "manifest": "m.jsonl",
        "store": "s",
        "split": "test",
        "clips": 5,
        "classes": 0,
        "fingerprint": {"model": "ViT-B/16", "dtype": "float16"},
        "trained_on": TrainedOn(data_set="msrvtt", classes=[]),
        "videos": Videos(scored=1000, missing=[]),
        "retrieval": Retrieval(captions=1000),
        "metrics": {"t2v_r1": 0.371, "t2v_r5": 0.65, "t2v_r10": 0.77, "t2v_median_rank": 2.0},
    }
    return Results(**given | changes)  # type: ignore[arg-type]


def table_rows(*all_results: Results) -> list[dict]:
    return json.loads(render(benchmark_table("retrieval", list(all_results)), "json"))["rows"]


def test_the_papers_numbers_stand_beside_the_same_protocol_only() -> None:
    zero, ours = table_rows(results_of())
    assert zero["run"] is None and zero["learned"] == "zero-shot" and zero["paper R@1"] == 31.2
    assert (
        ours["R@1 %"] == pytest.approx(37.1)
        and ours["paper R@1"] == 36.7
        and ours["R@1 difference"] == "+0.4"
    )
    assert ours["MdR"] == 2.0 and ours["paper MdR"] == 2.0 and ours["captions"] == "1000/1000"
    for changes in (
        {"variant": "dual-softmax"},
        {"retrieval": Retrieval(captions=1000, ties="optimistic")},
        {"retrieval": Retrieval(captions=2990)},
        {"data_set": "msrvtt-7k", "trained_on": TrainedOn(data_set="msrvtt-7k", classes=[])},
        {"trained_on": TrainedOn(data_set="smit", classes=[])},
    ):
        (row,) = table_rows(results_of(**changes))
        assert row.get("paper R@1") is None and row["R@1 %"] == pytest.approx(37.1)
    missing = results_of(retrieval=Retrieval(captions=900, missing_captions=100))
    assert table_rows(missing)[1]["paper R@1"] == 36.7 and table_rows(missing)[1]["captions"] == "900/1000"
    (chosen,) = choose_results(
        "retrieval", "r", [results_of(), results_of(task="recognition", retrieval=None)], None
    )
    assert chosen.retrieval is not None
