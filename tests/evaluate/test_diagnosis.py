"""Diagnosis: the files agree with the predictions, and the picture with the counts."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from featx.clip.text_weights import TextEncoder, TextWeights
from featx.encoders.openai_text import openai_format
from featx.evaluate.diagnose.prompt_words import names_of, nearest_words
from featx.evaluate.report.confusion_picture import DARK, confusion_picture
from featx.model.adapter_config import AdapterConfig


def read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


@pytest.fixture
def run(made_run) -> Path:
    return made_run("train", "--prompts", 2, "--layers", 0, "--steps", 2)


def test_everything_agrees_with_the_predictions(run: Path, tmp_path: Path, featx) -> None:
    outcome = featx("diagnose", run, "--clips", 3)
    assert outcome.code == 0, outcome.err
    folder = run / "diagnosis-shapes-test"
    assert featx("eval", run, "--clips", 3, "--save-predictions", tmp_path / "p.parquet").code == 0
    said = parquet.read_table(tmp_path / "p.parquet").to_pydict()
    pairs = list(zip(said["label"], said["predicted"], strict=True))
    assert any(label != predicted for label, predicted in pairs)

    matrix = {row.pop("true class"): row for row in read_csv(folder / "confusion.csv")}
    for label, row in matrix.items():
        assert {k: int(v) for k, v in row.items()} == {k: pairs.count((label, k)) for k in matrix}
    per_class = read_csv(folder / "per-class.csv")
    for row in per_class:
        own = [predicted for label, predicted in pairs if label == row["class"]]
        assert int(row["videos"]) == len(own)
        assert float(row["top-1 %"]) == pytest.approx(100 * own.count(row["class"]) / len(own))
        wrong = [one for one in own if one != row["class"]]
        assert (row["most often taken for"] in wrong) if wrong else row["most often taken for"] == ""
    accuracies = [float(row["top-1 %"]) for row in per_class]
    assert accuracies == sorted(accuracies)
    confused = read_csv(folder / "confused.csv")
    for row in confused:
        one, other = row["class A"], row["class B"]
        assert int(row["A taken for B"]) == pairs.count((one, other))
        assert int(row["B taken for A"]) == pairs.count((other, one))
    wrong_in_all = sum(label != predicted for label, predicted in pairs)
    assert sum(int(row["A taken for B"]) + int(row["B taken for A"]) for row in confused) == wrong_in_all
    (of_three,) = [row for row in read_csv(folder / "clips.csv") if row["clips"] == "3"]
    assert float(of_three["top-1 %"]) == pytest.approx(100 - 100 * wrong_in_all / len(pairs))
    assert [row["clips"] for row in read_csv(folder / "clips.csv")] == ["1", "2", "3", "5", "10", "20"]
    assert [row["prompt"] for row in read_csv(folder / "prompt-words.csv")] == [
        "before 1",
        "before 2",
        "after 1",
        "after 2",
    ]
    assert "Most confused pairs" in outcome.out and "nearest by cosine" in outcome.out


def test_a_baseline_without_clips_or_prompts_has_the_rest(made_run, tmp_path, featx) -> None:
    run = made_run("baseline", "nearest-mean")
    outcome = featx("diagnose", run, "--to", tmp_path / "here")
    assert outcome.code == 0, outcome.err
    names = {file.name for file in (tmp_path / "here").iterdir()}
    assert names == {"confused.csv", "confusion.csv", "confusion.png", "per-class.csv"}
    (tmp_path / "a-file").write_text("")
    outcome = featx("diagnose", run, "--to", tmp_path / "a-file")
    assert outcome.code == 2 and "cannot write there" in outcome.err and outcome.err.count("\n") == 1


def test_nearest_words_are_those_that_the_vectors_were_made_of() -> None:
    import clip

    torch.manual_seed(0)
    vocabulary = torch.randn(49408, 32)
    tokens = [clip.clip._tokenizer.encoder[word] for word in ("running</w>", "run", "dog</w>", "the</w>")]
    weights = TextWeights(vocabulary, torch.zeros(77, 32), (), torch.eye(32), 1, "quickgelu")
    encoder = TextEncoder(openai_format(), weights)
    table = 3.0 * vocabulary[tokens]  # cosine does not look at length
    table = torch.cat([table[:2], -table[2:]])
    found = nearest_words(AdapterConfig(prompts=2), table, encoder, 3)
    assert [one.name for one in found] == ["before 1", "before 2", "after 1", "after 2"]
    assert found[0].words[0] == ("running", pytest.approx(1)) and found[1].words[0] == (
        "run-",
        pytest.approx(1),
    )
    assert found[2].words[0][0] != "dog" and found[2].length == pytest.approx(float(table[2].norm()))
    cosines = [cosine for _, cosine in found[3].words]
    assert len(cosines) == 3 and cosines == sorted(cosines, reverse=True)


def test_rows_of_the_prompt_table_have_names() -> None:
    assert names_of(AdapterConfig(prompts=1), 2) == ["before 1", "after 1"]
    assert names_of(AdapterConfig(prompts=2), 2) == ["before 1", "before 2"]  # no suffix
    assert names_of(AdapterConfig(prompts=1, layout="positional"), 77)[76] == "position 76"


@pytest.mark.parametrize("classes", [2, 30, 700])
def test_the_picture_is_dark_where_the_counts_are(classes: int, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    labels = [f"class {index} with a long name that is cut" for index in range(classes)]
    file.write_bytes(confusion_picture(7 * np.eye(classes, dtype=int), labels, "run: shapes"))
    picture = np.asarray(Image.open(file).convert("RGB")).astype(int)
    dark = (picture == DARK).all(axis=2)
    rows, columns = np.nonzero(dark)
    side = rows.max() - rows.min() + 1
    assert abs(columns.max() - columns.min() + 1 - side) <= 1
    share = dark.sum() / side**2
    assert share == pytest.approx(1 / classes, rel=0.35)  # the diagonal, less what is written on it
    below = np.corrcoef(rows, columns)[0, 1]
    assert below > 0.9 or classes == 2
    assert max(picture.shape) < 2600
