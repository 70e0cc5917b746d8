"""Open-set: classes never seen, by their names alone; seen and unseen together; another data set."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix
from synthetic import CLASSES, PER_CLASS, make_class_data

from featx.evaluate.report.overlap import overlap_note
from featx.manifest.episodes import ClassSplit, ClassSplits, ClassSplitsHeader, write_class_splits
from featx.manifest.videos import Manifest, read_manifest, write_manifest
from featx.metrics.recognition import confusion_matrix, generalised_metrics, ranks
from featx.scoring.results import Results, read_results

SEEN, UNSEEN = list(CLASSES)[:4], list(CLASSES)[4:]


@pytest.fixture(scope="module")
def open_set(class_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest of the seen classes alone, lists, and two class splits."""
    folder = tmp_path_factory.mktemp("open-set")
    manifest = read_manifest(class_data / "manifest.jsonl")
    seen = manifest.only(SEEN)
    write_manifest(Manifest(seen.header, seen.videos, folder / "seen.jsonl"))
    splits = [
        ClassSplit(name="split_0", seen=SEEN, unseen=UNSEEN),
        ClassSplit(name="split_1", seen=UNSEEN, unseen=SEEN),
    ]
    write_class_splits(ClassSplits(ClassSplitsHeader(name="shapes"), splits), folder / "splits.jsonl")
    (folder / "seen.list").write_text("\n".join(SEEN) + "\n")
    (folder / "unseen.list").write_text("\n".join(CLASSES[label] for label in UNSEEN) + "\n\n")  # as texts
    return folder


@pytest.fixture
def run(made_run, open_set: Path) -> Path:
    """Trained on the seen classes."""
    words = ["train", "--prompts", 2, "--layers", 0, "--steps", 5]
    return made_run(*words, manifest=open_set / "seen.jsonl")


def only_row(outcome) -> dict[str, object]:
    assert outcome.code == 0, outcome.err
    (row,) = json.loads(outcome.out)["rows"]
    return row


def test_unseen_classes_are_told_apart_by_their_names(class_data, open_set, run, featx) -> None:
    base = ["eval", run, "--manifest", class_data / "manifest.jsonl", "--format", "json"]
    split = ["--class-split", open_set / "splits.jsonl", "--class-split-name", "split_0"]
    lists = ["--seen-list", open_set / "seen.list", "--unseen-list", open_set / "unseen.list"]
    rows = [only_row(featx(*base, "--classes", "unseen", *words))
            for words in (split, lists, ["--unseen-list", open_set / "unseen.list"], [])]  # fmt: skip
    assert all(row == rows[0] for row in rows)
    assert (
        rows[0]["scored"] == f"{len(UNSEEN) * PER_CLASS['test']}/20" and rows[0]["top-1 %"] > 60
    )  # chance is 50
    results = {one.class_split: one for one in read_results(run)}
    assert len(results) == 4  # each in a file of its own
    one = results[f"{open_set / 'splits.jsonl'}#split_0"]
    assert (one.class_set, one.classes, one.classes_as_trained) == ("unseen", 2, False)
    assert one.trained_on is not None and one.trained_on.classes == SEEN
    assert one.trained_on.data_set == "shapes" and one.videos.left_out == 40


def test_generalised_evaluation_by_hand(class_data, open_set, run, featx, tmp_path) -> None:
    from pyarrow import parquet

    file = tmp_path / "said.parquet"
    words = ["--class-split", open_set / "splits.jsonl", "--class-split-name", "split_0", "--format", "json"]
    row = only_row(
        featx("eval", run, "--manifest", class_data / "manifest.jsonl", *words, "--save-predictions", file)
    )
    table = parquet.read_table(file).to_pydict()
    right = {
        group: np.mean(
            [p == t for p, t in zip(table["predicted"], table["label"], strict=True) if t in labels]
        )
        for group, labels in (("seen", SEEN), ("unseen", UNSEEN))
    }
    assert row["seen %"] == pytest.approx(100 * right["seen"])
    assert row["unseen %"] == pytest.approx(100 * right["unseen"])
    expected = 2 * right["seen"] * right["unseen"] / (right["seen"] + right["unseen"])
    assert row["harmonic %"] == pytest.approx(100 * expected)
    assert len(table["scores"][0]) == len(CLASSES)
    assert np.sum(table["scores"], axis=1) == pytest.approx(np.ones(60))
    facts = json.loads(parquet.read_schema(file).metadata[b"featx"])
    assert facts["classes"] == list(CLASSES)
    best = [facts["classes"][index] for index in np.argmax(table["scores"], axis=1)]
    assert best == table["predicted"]


@given(st.integers(0, 2**32 - 1))
def test_metrics_of_groups_and_confusions_equal_scikit_learns_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 3, size=(40, 6)).astype(float)  # many ties
    labels = rng.integers(6, size=40)
    predicted = scores.argmax(axis=1)
    assert ((ranks(scores, labels) == 0) == (predicted == labels)).all()
    assert np.array_equal(
        confusion_matrix(predicted, labels, 6), sklearn_confusion_matrix(labels, predicted, labels=range(6))
    )
    is_seen = np.array([True, True, True, False, False, False])
    found = generalised_metrics(scores, labels, is_seen)
    for group, name in ((is_seen[labels], "seen_top1"), (~is_seen[labels], "unseen_top1")):
        assert found[name] == pytest.approx(accuracy_score(labels[group], predicted[group]))


def test_one_group_alone_has_no_harmonic_mean() -> None:
    assert generalised_metrics(np.eye(3), np.arange(3), np.array([True] * 3)) == {}


def test_another_data_set_is_recorded(class_data, run, featx, tmp_path) -> None:
    make_class_data(tmp_path / "other", name="kinetics400", seed=5)
    words = ["--manifest", tmp_path / "other" / "manifest.jsonl", "--store", tmp_path / "other" / "features"]
    outcome = featx("eval", run, *words)
    assert outcome.code == 0, outcome.err
    assert "learned from shapes, scored on kinetics400" in outcome.out
    (results,) = read_results(run)
    assert results.data_set == "kinetics400" and results.trained_on.data_set == "shapes"
    assert overlap_note(results) is None
    outcome = featx("table", "open-set", run)
    assert outcome.code == 0 and "shapes, 4 classes" in outcome.out and "6 all classes" in outcome.out
    assert featx("table", "closed-set", run).code == 2


def test_kinetics_sets_that_share_videos_are_warned_about(run, featx) -> None:
    assert featx("eval", run).code == 0
    (results,) = read_results(run)
    for learned, scored, warned in (
        ("kinetics700", "kinetics400", True), ("kinetics400", "kinetics700", True), ("kinetics700", "hmdb51", False),
        ("kinetics400", "kinetics400", False),
    ):  # fmt: skip
        trained_on = results.trained_on.model_copy(update={"data_set": learned})
        note = overlap_note(results.model_copy(update={"trained_on": trained_on, "data_set": scored}))
        assert (note is not None) == warned
        assert not warned or "inside Kinetics-700" in note or "share videos" in note


def renamed_data(class_data: Path, to: Path, name: str) -> Path:
    """The manifest with numbers for labels: `0` to `5`, the first four of which show what a run has learned."""
    manifest = read_manifest(class_data / "manifest.jsonl")
    number = {label: str(index) for index, label in enumerate(CLASSES)}
    classes = {number[label]: f" {text.upper()} " for label, text in CLASSES.items()}
    videos = [video.model_copy(update={"label": number[video.label]}) for video in manifest.videos]
    header = manifest.header.model_copy(update={"name": name, "classes": classes})
    write_manifest(Manifest(header, videos, to))
    return to


def test_a_class_learned_under_another_label_is_not_unseen(
    class_data, open_set, run, featx, tmp_path
) -> None:
    other = renamed_data(class_data, tmp_path / "other.jsonl", "other")
    outcome = featx("eval", run, "--manifest", other, "--classes", "unseen", "--format", "json")
    assert only_row(outcome)["scored"] == "20/20"
    assert "4 classes count as seen because the run has learned their texts under other labels" in outcome.err
    assert "'0' as 'red-star' first" in outcome.err
    assert read_results(run)[-1].classes == len(UNSEEN)

    (tmp_path / "unseen.list").write_text("3\n4\n5\n")
    words = ["--classes", "unseen", "--unseen-list", tmp_path / "unseen.list"]
    (tmp_path / "seen.list").write_text("0\n1\n2\n")
    words += ["--seen-list", tmp_path / "seen.list"]
    outcome = featx(
        "eval", run, "--manifest", other, *words
    )  # another data set may be asked about, with a word
    assert (
        outcome.code == 0
        and "'3' is unseen there, but the run has learned it as 'blue-star'" not in outcome.err
    )
    assert "'3' is unseen there, but the run has learned it as 'green-circle' (1 such classes)" in outcome.err
    same = renamed_data(class_data, tmp_path / "same.jsonl", "shapes")
    outcome = featx("eval", run, "--manifest", same, *words)
    assert outcome.code == 2 and "the run has learned it as 'green-circle' (1 such classes)" in outcome.err


def test_a_label_of_another_data_set_is_not_a_learned_class(class_data, run, featx, tmp_path) -> None:
    """Labels are names that each data set gives for itself; what is learned is a text."""
    manifest = read_manifest(class_data / "manifest.jsonl")
    classes = {**CLASSES, "red-star": "somebody swims"}
    header = manifest.header.model_copy(update={"name": "other", "classes": classes})
    write_manifest(Manifest(header, manifest.videos, tmp_path / "other.jsonl"))
    outcome = featx(
        "eval", run, "--manifest", tmp_path / "other.jsonl", "--classes", "unseen", "--format", "json"
    )
    assert only_row(outcome)["scored"] == "30/30"
    assert "1 classes count as unseen although the run has learned their labels" in outcome.err


def test_an_adapter_whose_manifest_is_gone_is_still_scored(class_data, open_set, run, featx) -> None:
    kept = (open_set / "seen.jsonl").read_text()
    (open_set / "seen.jsonl").unlink()
    try:
        outcome = featx("eval", run, "--manifest", class_data / "manifest.jsonl", "--classes", "unseen")
    finally:
        (open_set / "seen.jsonl").write_text(kept)
    assert outcome.code == 0, outcome.err
    results: Results = read_results(run)[0]
    assert results.trained_on is not None and results.trained_on.data_set == "shapes"  # the adapter says it


def test_class_texts_that_are_cut_are_counted(class_data, run, featx, tmp_path) -> None:
    text = (
        (class_data / "manifest.jsonl")
        .read_text()
        .replace('"blue star"', '"blue star' + " and a star" * 40 + '"')
    )
    (tmp_path / "long.jsonl").write_text(text)
    outcome = featx("eval", run, "--manifest", tmp_path / "long.jsonl")
    assert outcome.code == 0 and "1 class texts were too long and cut" in outcome.out


def test_wrong_use_is_one_line(class_data, open_set, run, featx, tmp_path) -> None:
    (tmp_path / "typo.list").write_text("red-star\nblue-strar\n")
    (tmp_path / "empty.list").write_text("\n")
    (tmp_path / "both.list").write_text("red-star\n")
    base = ["eval", run, "--manifest", class_data / "manifest.jsonl"]
    splits = ["--class-split", open_set / "splits.jsonl"]
    zero_shot = tmp_path / "zero-shot"
    words = [
        "--store",
        class_data / "features",
        "--manifest",
        class_data / "manifest.jsonl",
        "--to",
        zero_shot,
    ]
    assert featx("baseline", "zero-shot", *words).code == 0
    cases = {
        "'green-circle' is unseen there, but the run has learned it (4 such classes)": [
            *base, *splits, "--class-split-name", "split_1"
        ],
        "holds 2; choose one with --class-split-name (split_0, split_1": [*base, *splits],
        "not in": [*base, *splits, "--class-split-name", "split_7"],
        "--class-split-name split_0: needs --class-split": [*base, "--class-split-name", "split_0"],
        "typo.list:2: class 'blue-strar' is not in": [*base, "--unseen-list", tmp_path / "typo.list"],
        "did you mean 'blue-star'": [*base, "--unseen-list", tmp_path / "typo.list"],
        "names no class": [*base, "--unseen-list", tmp_path / "empty.list"],
        "is both seen and unseen": [
            *base, "--seen-list", open_set / "seen.list", "--unseen-list", tmp_path / "both.list"
        ],
        "leave out --seen-list and --unseen-list": [*base, *splits, "--seen-list", open_set / "seen.list"],
        "has learned nothing, so no class is seen or unseen by itself": [
            "eval", zero_shot, "--classes", "unseen"
        ],
        "has no class that the run has unseen": ["eval", run, "--classes", "unseen"],
        "--classes unsen: Input should be 'all', 'seen' or 'unseen'": [*base, "--classes", "unsen"],
        "holds one run's; give one RUN, not 2": [
            "eval", run, run, "--save-predictions", tmp_path / "a.parquet"
        ],
        "must end in .parquet": ["eval", run, "--save-predictions", tmp_path / "a.csv"],
    }  # fmt: skip
    for message, command in cases.items():
        outcome = featx(*command)
        assert outcome.code == 2 and message in outcome.err, (message, outcome.err)
        assert outcome.err.count("\n") == 1


def test_without_pyarrow_the_extra_is_named(run, featx, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    outcome = featx("eval", run, "--save-predictions", tmp_path / "a.parquet")
    assert outcome.code == 2 and "pip install 'featx[parquet]'" in outcome.err
