"""Training and evaluation on a small store in which only the order of frames parts the classes."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import ORDER_CLASSES, ORDER_PER_CLASS, make_order_data, tiny_fingerprint

from featx.model.adapter import read_header
from featx.store.reader import FeatureStore
from featx.store.schema import VideoInfo
from featx.store.writing.writer import StoreWriter


@pytest.fixture
def train(order_data: Path, tmp_path: Path, featx):
    def run(name: str, *words: object) -> Path:
        to = tmp_path / name
        base = [
            "train",
            "--store",
            order_data / "features",
            "--manifest",
            order_data / "manifest.jsonl",
            "--to",
            to,
        ]
        outcome = featx(*base, "--steps", 120, "--learning-rate", 1e-3, "--batch-size", 16, "--strides", "1,2",
                        "--stride-weights", "1,1", *words)  # fmt: skip
        assert outcome.code == 0, outcome.err
        return to

    return run


def top1(outcome) -> list[float]:
    assert outcome.code == 0, outcome.err
    return [row["top-1 %"] for row in json.loads(outcome.out)["rows"]]


def test_only_a_model_of_time_parts_what_differs_in_order(train, featx) -> None:
    runs = [
        train("zero-shot", "--prompts", 0, "--layers", 0),
        train("prompts", "--prompts", 4, "--layers", 0),
        train("transformer", "--prompts", 0, "--layers", 1, "--steps", 120, "--schedule", "cosine"),
        train("both", "--prompts", 4, "--layers", 1, "--steps", 120, "--schedule", "cosine"),
    ]
    zero_shot, prompts, transformer, both = top1(featx("eval", *runs, "--format", "json"))
    assert max(zero_shot, prompts) <= 75
    assert min(transformer, both) >= 95


def test_the_same_seed_gives_the_same_file(train) -> None:
    files = [
        train(name, "--prompts", 2, "--layers", 1, "--steps", 6, "--seed", seed) / "adapter.safetensors"
        for name, seed in [("a", 1), ("b", 1), ("c", 2)]
    ]
    one, again, other = (read_tensors(file) for file in files)
    assert all(np.array_equal(one[name], again[name]) for name in one)
    assert not np.array_equal(one["prompt_table"], other["prompt_table"])


def read_tensors(file: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(str(file))


def test_the_run_says_what_it_is(train, order_data: Path) -> None:
    run = train("run", "--prompts", 2, "--layers", 1, "--set", "log_every=10")
    header = read_header(run / "adapter.safetensors")
    assert header.classes == ORDER_CLASSES
    assert header.fingerprint == tiny_fingerprint()
    assert header.settings["steps"] == 120 and header.settings["store"] == str(order_data / "features")
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, *range(10, 121, 10)]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert list((run / "tensorboard").glob("events.*"))


def test_prefix_only_prompts(train, featx) -> None:
    run = train("run", "--prompts", 2, "--layers", 0, "--no-suffix")
    assert len(read_tensors(run / "adapter.safetensors")["prompt_table"]) == 2
    assert read_header(run / "adapter.safetensors").config.suffix is False
    assert json.loads(featx("eval", run, "--format", "json").out)["rows"][0]["learned"] == "prompts 2+X+0"


def test_tables_in_every_format_and_the_results_file(train, featx) -> None:
    run = train("run", "--prompts", 0, "--layers", 0)
    table = {format: featx("eval", run, "--format", format).out for format in
             ("table", "markdown", "latex", "csv", "json", "html")}  # fmt: skip
    row = json.loads(table["json"])["rows"][0]
    results = json.loads((run / "results-order-test.json").read_text())
    assert row["top-1 %"] == pytest.approx(100 * results["metrics"]["top1"])
    assert results["metrics"]["top5"] == 1.0  # two classes
    assert results["videos"] == {"scored": 40, "missing": [], "left_out": 0}
    (read,) = csv.DictReader(io.StringIO(table["csv"]))
    assert float(read["mean class %"]) == pytest.approx(row["mean class %"])
    assert f"| run | zero-shot | {row['top-1 %']:.1f} | 100.0 |" in table["markdown"]
    assert r"top-1 \%" in table["latex"] and r"40/40 \\" in table["latex"]
    for text in (table[format] for format in ("table", "markdown", "latex", "json", "html")):
        assert "40 of 40" in text and "0 missing" in text
    wrong = featx("eval", run, "--format", "markdwn")
    assert wrong.code == 2 and "did you mean 'markdown'" in wrong.err


def test_videos_without_features_are_counted_and_listed(
    train, order_data: Path, tmp_path: Path, featx
) -> None:
    lines = (order_data / "manifest.jsonl").read_text().splitlines()
    for split in ORDER_PER_CLASS:
        lines.append(
            json.dumps(
                {"id": f"lost/{split}.mp4", "path": f"lost/{split}.mp4", "split": split, "label": "growing"}
            )
        )
    manifest = tmp_path / "with-lost.jsonl"
    manifest.write_text("\n".join(lines) + "\n")
    run = train("run", "--prompts", 0, "--layers", 0, "--set", f"manifest={manifest}")
    assert (run / "missing-train.txt").read_text() == "lost/train.mp4\n"
    outcome = featx("eval", run)
    assert "40 of 41 video scorings done, 1 missing" in outcome.out and "40/41" in outcome.out
    assert "missing-order-test.txt" in outcome.out
    assert (run / "missing-order-test.txt").read_text() == "lost/test.mp4\n"


def test_other_features_and_other_clips_are_refused(train, order_data: Path, tmp_path: Path, featx) -> None:
    run = train("run", "--prompts", 0, "--layers", 0)
    make_order_data(tmp_path / "fast", tiny_fingerprint(preprocess="ffmpeg-fast"))
    outcome = featx("eval", run, "--store", tmp_path / "fast" / "features")
    assert outcome.code == 2 and "preprocess: clip-exact, not ffmpeg-fast" in outcome.err
    stranger = tiny_fingerprint().model_copy(update={"weights_sha256": "f" * 64})
    make_order_data(tmp_path / "strange", stranger)
    words = ["--store", tmp_path / "strange" / "features", "--manifest", order_data / "manifest.jsonl"]
    outcome = featx("train", *words, "--to", tmp_path / "r2")
    assert outcome.code == 2 and "was made with tiny, weights ffffffffffff" in outcome.err


def test_wrong_use_is_one_line(train, order_data: Path, tmp_path: Path, featx) -> None:
    run = train("run", "--prompts", 0, "--layers", 0)
    base = ["train", "--store", order_data / "features", "--manifest", order_data / "manifest.jsonl"]
    cases = {
        "holds a finished run": [*base, "--to", run],
        "no video in split 'trian'": [*base, "--to", tmp_path / "n", "--train-split", "trian"],
        "unknown key 'layer'; did you mean 'layers'": [*base, "--to", tmp_path / "n", "--set", "layer=2"],
        "not a feature store": ["train", "--store", tmp_path, *base[3:], "--to", tmp_path / "n"],
        "cannot read the adapter": ["eval", tmp_path / "no-run"],
        "no video in split 'val'; it has test, train": ["eval", run, "--split", "val"],
        "strides and stride_weights must have the same length": [
            *base,
            "--to",
            tmp_path / "n",
            "--strides",
            "1",
        ],
    }
    for message, words in cases.items():
        outcome = featx(*words)
        assert outcome.code == 2 and message in outcome.err, (message, outcome.err)
        assert outcome.err.count("\n") == 1


def test_a_store_that_was_extended_still_fits(train, order_data: Path, tmp_path: Path, featx) -> None:
    """More videos in a store are no other features: what was learned stays usable."""
    folder = tmp_path / "features"
    shutil.copytree(order_data / "features", folder)
    run = train("run", "--prompts", 0, "--layers", 0)
    before = top1(featx("eval", run, "--format", "json", "--store", folder))
    store = FeatureStore(folder)
    video_id = next(iter(store))
    with StoreWriter(folder, store.header.fingerprint) as writer:
        writer.add("more.mp4", store[video_id], VideoInfo("more.mp4", 1, 1, 64, 64, 1.0))
    assert top1(featx("eval", run, "--format", "json", "--store", folder)) == before


def test_short_memory_changes_no_bit(order_data: Path, tmp_path: Path, featx, monkeypatch) -> None:
    """Where the texts would take more than there is, blocks are computed again, with a line."""
    words = ["train", "--store", order_data / "features", "--manifest", order_data / "manifest.jsonl", "--steps", 3,
             "--prompts", 2, "--layers", 0, "--batch-size", 8, "--device", "cpu"]  # fmt: skip
    plenty = featx(*words, "--to", tmp_path / "plenty")
    monkeypatch.setattr("featx.train.adapter.learn.free_memory_bytes", lambda: 1000)
    short = featx(*words, "--to", tmp_path / "short")
    assert plenty.code == short.code == 0, short.err
    assert "blocks are computed again" in short.err and "--recompute" in short.err
    assert "computed again" not in plenty.err
    assert "computed again" not in featx(*words, "--recompute", "--to", tmp_path / "asked").err
    files = [tmp_path / name / "adapter.safetensors" for name in ("plenty", "short")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_evaluation_in_bf16_is_near_and_is_said(class_data: Path, made_run, featx, tmp_path: Path) -> None:
    """Half the work where a processor has it, its own cached texts, and a note: never taken for the exact numbers."""
    from pyarrow import parquet

    run = made_run("train", "--prompts", 2, "--layers", 1, "--steps", 2)
    scores, notes = {}, {}
    for precision in ("fp32", "bf16"):
        file = tmp_path / f"{precision}.parquet"
        outcome = featx("eval", run, "--precision", precision, "--save-predictions", file)
        assert outcome.code == 0, outcome.err
        scores[precision] = np.array(parquet.read_table(file).to_pydict()["scores"])
        notes[precision] = outcome.out
    difference = np.abs(scores["bf16"] - scores["fp32"])
    assert 0 < difference.max() < 0.05
    assert "scored in bf16 (--precision)" in notes["bf16"] and "bf16" not in notes["fp32"]
    assert len(list((run / "text-features").glob("*.safetensors"))) == 2


@torch.no_grad()
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_the_mean_over_frames_may_be_taken_before_the_last_product(layers: int) -> None:
    from featx.model.temporal import TemporalTransformer

    torch.manual_seed(layers)
    temporal = TemporalTransformer(32, layers, 4, 16).double()
    clips = torch.randn(5, 16, 32, dtype=torch.float64)
    every_frame = temporal.blocks(clips + temporal.positions)
    torch.testing.assert_close(temporal(clips), every_frame.mean(dim=1), rtol=1e-12, atol=1e-12)
