"""Extract, train, eval, search, predict and diagnose with models of other libraries, from real video files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers_folders import make_folder

from featx.store.reader import FeatureStore

ACTIVATIONS = {"hf-clip": "quickgelu", "siglip": "gelu-tanh", "align": "gelu", "open_clip": "gelu"}
CLASSES = {"growing": "star growing", "falling": "star falling"}


@pytest.fixture(scope="module", params=["hf-clip", "siglip", "align", "open_clip", "tiny"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    family = request.param
    folder = tmp_path_factory.mktemp("models")
    if family == "tiny":
        return "siglip:tiny"
    if family == "open_clip":
        import open_clip

        torch.save(open_clip.create_model("ViT-S-32-alt").state_dict(), folder / "mine.pt")  # the smallest
        return f"open_clip:ViT-S-32-alt@{folder / 'mine.pt'}"
    return f"{family}:{make_folder(family, folder / family)}"


def make_manifest(file: Path) -> Path:
    rows: list[dict[str, object]] = [{"featx_manifest": 1, "name": "shapes", "classes": CLASSES}]
    for label in CLASSES:
        for index in range(3):
            name = f"{label}/{index}.mp4"
            rows.append({"id": name, "path": name, "split": "train" if index else "test", "label": label})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_the_whole_pipeline(
    model: str, shape_videos: Path, tmp_path: Path, run_featx: Callable[..., str], featx
) -> None:
    family, store, run = model.partition(":")[0], tmp_path / "features", tmp_path / "run"
    run_featx("extract", shape_videos, "--to", store, "--model", model, "--quiet")
    fingerprint = FeatureStore(store).header.fingerprint
    assert (fingerprint.family, fingerprint.activation) == (family, ACTIVATIONS[family])
    manifest = make_manifest(tmp_path / "manifest.jsonl")
    given = ["--store", store, "--manifest", manifest]
    small = ["--set", "prompts=4", "--set", "steps=3", "--set", "batch_size=4", "--set", "warmup=0"]
    assert family in run_featx("train", "--dry-run", *given, *small, "--to", run)
    run_featx("train", *given, *small, "--to", run)
    run_featx("baseline", "zero-shot", *given, "--to", tmp_path / "zero")
    assert "top-1" in run_featx("eval", run, tmp_path / "zero", *given)
    assert "growing" in run_featx("search", store, "a star growing")
    found = run_featx("search", store, "a star growing", "--adapter", run)
    assert ".mp4" in found
    video = shape_videos / "growing" / "0.mp4"
    assert "growing" in run_featx("predict", video, "--adapter", run)
    assert "before 1" in run_featx("diagnose", run, *given)
    other = featx("eval", run, *given, "--model", "tiny")
    assert other.code != 0 and f"family {family}" in other.err and len(other.err.strip().splitlines()) == 1


def test_fast_preprocessing_is_refused_where_it_is_not_near_enough(
    model: str, shape_videos: Path, tmp_path: Path, featx
) -> None:
    outcome = featx(
        "extract",
        shape_videos,
        "--to",
        tmp_path / "features",
        "--model",
        model,
        "--preprocess",
        "fast",
        "--quiet",
    )
    assert (outcome.code == 0) == model.startswith(("hf-clip", "open_clip"))
    assert outcome.code == 0 or "--preprocess fast: ffmpeg does not come near enough" in outcome.err
