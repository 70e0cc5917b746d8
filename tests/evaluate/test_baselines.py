"""Baselines against OpenAI's clip, scikit-learn and brute force; over episodes they are what they are on each."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from synthetic import CLASSES, make_episodes

from featx.evaluate.run.baseline_methods import class_means, fit_linear, linear_scores, nearest_scores
from featx.features.dataset import StoredParts
from featx.features.mean_features import mean_features
from featx.manifest.episodes import Episodes, EpisodesHeader, episode_manifest, read_episodes, write_episodes
from featx.manifest.videos import Manifest, read_manifest, write_manifest
from featx.scoring.results import read_results
from featx.store.reader import FeatureStore

METHODS = ("zero-shot", "linear-probe", "nearest-mean")


def words_of(class_data: Path, to: Path) -> list[object]:
    return ["--store", class_data / "features", "--manifest", class_data / "manifest.jsonl", "--to", to]


def metrics_of(run: Path) -> dict[str, float]:
    (results,) = read_results(run)
    return results.metrics


def test_zero_shot_is_an_adapter_that_learned_nothing(class_data: Path, tmp_path: Path, featx) -> None:
    assert featx("train", *words_of(class_data, tmp_path / "a"), "--prompts", 0, "--layers", 0).code == 0
    assert featx("baseline", "zero-shot", *words_of(class_data, tmp_path / "b")).code == 0
    outcome = featx("eval", tmp_path / "a", tmp_path / "b", "--format", "json")
    assert outcome.code == 0, outcome.err
    adapter, baseline = json.loads(outcome.out)["rows"]
    for column in ("learned", "top-1 %", "top-5 %", "mean class %", "parameters"):
        assert adapter[column] == baseline[column]
    assert 20 < baseline["top-1 %"] <= 100


def test_templates_are_averaged_as_by_clips_authors(class_data: Path, tmp_path: Path, featx) -> None:
    import clip
    from safetensors.numpy import load_file

    templates = ["a video of a {}", "a photo of the {}, blurred", "{}"]
    words = [word for template in templates for word in ("--template", template)]
    assert featx("baseline", "zero-shot", *words_of(class_data, tmp_path / "run"), *words).code == 0
    model, _ = clip.load(str(Path(clip_file())), device="cpu")
    expected = []
    for text in CLASSES.values():  # the loop of CLIP's Prompt_Engineering notebook
        with torch.no_grad():
            features = model.encode_text(
                clip.tokenize([one.replace("{}", text) for one in templates])
            ).float()
        features /= features.norm(dim=-1, keepdim=True)
        mean = features.mean(dim=0)
        expected.append((mean / mean.norm()).numpy())
    (file,) = (tmp_path / "run" / "text-features").iterdir()
    np.testing.assert_allclose(load_file(file)["text"], expected, atol=1e-5)
    assert read_results(tmp_path / "run")[0].config == {"templates": templates}
    listed = tmp_path / "templates.txt"
    listed.write_text("\n".join(templates) + "\n\n")
    words = [*words_of(class_data, tmp_path / "listed"), "--template-file", listed]
    assert featx("baseline", "zero-shot", *words).code == 0
    assert metrics_of(tmp_path / "listed") == metrics_of(tmp_path / "run")


def clip_file() -> Path:
    from featx.encoders.openai import TINY_FILE

    return TINY_FILE


@pytest.mark.parametrize("classes", [2, 5])
def test_the_linear_probe_is_scikit_learns(classes: int) -> None:
    rng = np.random.default_rng(classes)
    labels = np.repeat(np.arange(classes), 12)
    features = rng.standard_normal((len(labels), 8)) + labels[:, None]
    asked = rng.standard_normal((30, 8)) + 1
    oracle = LogisticRegression(C=0.316, max_iter=1000).fit(features, labels)
    fitted = fit_linear(features, labels, list(map(str, range(classes))), 0.316)
    assert fitted.converged
    scores = linear_scores(asked, fitted.weight, fitted.bias)
    np.testing.assert_allclose(scores, oracle.predict_proba(asked), atol=1e-9)


def test_a_fit_that_was_cut_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    features = 100 * rng.standard_normal((60, 50))
    assert fit_linear(features, labels, ["a", "b", "c"], 1e-6).converged
    monkeypatch.setattr("featx.evaluate.run.baseline_methods.MOST_ITERATIONS", 1)
    assert not fit_linear(features, labels, ["a", "b", "c"], 100.0).converged


def test_nearest_mean_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0, 0, 1, 2, 2, 2])
    features, asked = rng.standard_normal((6, 4)), rng.standard_normal((5, 4))
    scores = nearest_scores(asked, class_means(features, labels, ["a", "b", "c"]))
    for row, one in zip(scores, asked, strict=True):
        cosines = []
        for label in range(3):
            mean = np.mean(
                [f / np.linalg.norm(f) for f, k in zip(features, labels, strict=True) if k == label], axis=0
            )
            cosines.append(one @ mean / np.linalg.norm(one) / np.linalg.norm(mean))
        assert np.argsort(row).tolist() == np.argsort(cosines).tolist()
        np.testing.assert_allclose(
            row, np.exp(np.divide(cosines, 0.07)) / np.exp(np.divide(cosines, 0.07)).sum()
        )


def test_mean_features_do_not_depend_on_how_the_store_is_read(
    class_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(class_data / "features")
    ids = list(store)[::-3]
    rows = np.array([store.rows(one) for one in ids])
    videos = StoredParts(ids, ids, np.zeros(len(ids), np.int64), rows, [])
    expected = np.stack([store[one].features.astype(np.float64).mean(axis=0) for one in ids])
    for rows_at_once in (1, 100, 10**6):
        monkeypatch.setattr("featx.features.mean_features.ROWS_AT_ONCE", rows_at_once)
        np.testing.assert_allclose(mean_features(store, videos), expected, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_eval_scores_a_baseline_like_any_run(method: str, class_data: Path, tmp_path: Path, featx) -> None:
    run = tmp_path / method
    assert featx("baseline", method, *words_of(class_data, run)).code == 0
    first = metrics_of(run)
    assert 0.3 < first["top1"] <= 1
    (run / "results-shapes-test.json").unlink()
    assert featx("eval", run).code == 0
    assert metrics_of(run) == first
    assert featx("baseline", method, *words_of(class_data, run)).code == 0  # the same again is no error


@pytest.mark.parametrize("method", METHODS)
def test_over_episodes_it_is_what_it_is_on_each(method: str, class_data: Path, tmp_path: Path, featx) -> None:
    manifest = read_manifest(class_data / "manifest.jsonl")
    file = tmp_path / "3way.jsonl"
    make_episodes(manifest, file, count=3, ways=3, shots=2)
    outcome = featx("baseline", method, *words_of(class_data, tmp_path / "all"), "--episodes", file)
    assert outcome.code == 0, outcome.err
    (results,) = read_results(tmp_path / "all")
    assert results.few_shot is not None and results.split == "3way"
    assert (results.few_shot.ways, results.few_shot.shots) == (3, 2)
    assert [item.scored for item in results.items] == [3 * (18 - 2)] * 3
    for episode, item in zip(read_episodes(file, manifest).episodes, results.items, strict=True):
        alone = episode_manifest(manifest, episode)
        alone = Manifest(alone.header, alone.videos, tmp_path / f"{episode.name}.jsonl")
        write_manifest(alone)
        words = [
            "--store",
            class_data / "features",
            "--manifest",
            alone.file,
            "--to",
            tmp_path / episode.name,
        ]
        assert featx("baseline", method, *words).code == 0
        assert metrics_of(tmp_path / episode.name) == pytest.approx(item.metrics, abs=1e-12)
    assert results.metrics["top1"] == pytest.approx(np.mean([item.metrics["top1"] for item in results.items]))


def test_lost_training_videos_are_counted_once_and_in_words(class_data: Path, tmp_path: Path, featx) -> None:
    manifest = read_manifest(class_data / "manifest.jsonl")
    episodes = make_episodes(manifest, tmp_path / "3way.jsonl", count=1, ways=3, shots=2)
    lost = manifest.by_id[episodes[0].train[0]].model_copy(update={"id": "lost.mp4"})
    episodes[0].train[0] = lost.id
    more = Manifest(manifest.header, [*manifest.videos, lost], tmp_path / "more.jsonl")
    write_manifest(more)
    write_episodes(Episodes(EpisodesHeader(name=manifest.header.name), episodes), tmp_path / "3way.jsonl")
    words = ["--store", class_data / "features", "--manifest", more.file, "--to", tmp_path / "run"]
    outcome = featx(
        "baseline", "nearest-mean", *words, "--episodes", tmp_path / "3way.jsonl", "--format", "json"
    )
    assert outcome.code == 0, outcome.err
    said = "1 training videos of the episodes have no features: fewer shots than they say"
    assert [note for note in json.loads(outcome.out)["notes"] if "training videos" in note] == [said]


def test_a_probe_that_does_not_know_a_class_says_so(class_data: Path, tmp_path: Path, featx) -> None:
    manifest = read_manifest(class_data / "manifest.jsonl")
    part = manifest.only(["red-star", "blue-star"])
    write_manifest(Manifest(part.header, part.videos, tmp_path / "part.jsonl"))
    run = tmp_path / "run"
    words = ["--store", class_data / "features", "--manifest", tmp_path / "part.jsonl", "--to", run]
    assert featx("baseline", "linear-probe", *words).code == 0
    outcome = featx("eval", run, "--manifest", class_data / "manifest.jsonl")
    assert outcome.code == 2 and "knows only the classes that it has learned, and 'red-circle'" in outcome.err
    outcome = featx(
        "eval", run, "--manifest", class_data / "manifest.jsonl", "--classes", "seen", "--format", "json"
    )
    assert outcome.code == 0 and json.loads(outcome.out)["rows"][0]["scored"] == "20/20"


def test_wrong_use_is_one_line(class_data: Path, tmp_path: Path, featx) -> None:
    lines = (class_data / "manifest.jsonl").read_text().splitlines()
    bare = tmp_path / "bare.jsonl"
    bare.write_text("\n".join(line for line in lines if "blue-star/train" not in line) + "\n")
    run = tmp_path / "run"
    assert featx("baseline", "nearest-mean", *words_of(class_data, run)).code == 0
    (tmp_path / "empty.txt").write_text("\n")
    words = words_of(class_data, tmp_path / "n")
    cases = {
        "zeroshot: must be one of zero-shot, linear-probe, nearest-mean; did you mean 'zero-shot'": ["zeroshot", *words],
        "--template 'a video': has no {} where": ["zero-shot", *words, "--template", "a video"],
        "names no template": ["zero-shot", *words, "--template-file", tmp_path / "empty.txt"],
        "leave it or --template out": [
            "zero-shot", *words, "--template-file", tmp_path / "empty.txt", "--template", "{}"
        ],
        "class 'blue-star' has no training video": ["linear-probe", *words, "--manifest", bare],
        "holds another baseline (nearest-mean)": ["linear-probe", *words_of(class_data, run)],
        "strides and stride_weights must have the same length": ["zero-shot", *words, "--strides", 1],
        "--c 0.0: Input should be greater than 0": ["linear-probe", *words, "--c", 0],
        "cannot read the list of episodes": ["zero-shot", *words, "--episodes", tmp_path / "none.jsonl"],
    }  # fmt: skip
    for message, command in cases.items():
        outcome = featx("baseline", *command)
        assert outcome.code == 2 and message in outcome.err, (message, outcome.err)
        assert outcome.err.count("\n") == 1


def test_a_damaged_baseline_is_one_line(class_data: Path, tmp_path: Path, featx) -> None:
    assert featx("baseline", "nearest-mean", *words_of(class_data, tmp_path)).code == 0
    (tmp_path / "baseline.safetensors").write_bytes(b"not this")
    outcome = featx("eval", tmp_path)
    assert outcome.code == 2 and "cannot read the baseline" in outcome.err and outcome.err.count("\n") == 1
