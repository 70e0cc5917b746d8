"""docs/api.md is true: its examples run in order, and give what the commands print."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import featx

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def make_manifest() -> None:
    words = ["manifest", "folder", "--videos", "videos", "--to", "mine.jsonl"]
    subprocess.run([sys.executable, "-m", "featx", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def page(work: Path) -> dict[str, Any]:
    """The names that stand there when all examples have run, as one script, on the tiny CLIP."""
    before, names = Path.cwd(), {}
    os.chdir(work)
    make_manifest()
    try:
        for block in BLOCKS:
            exec(compile(block.replace("ViT-B/16", "tiny"), str(PAGE), "exec"), names)
    finally:
        os.chdir(before)
    return names


def test_the_first_example_runs_as_a_plain_script(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Worker processes do not run it once more."""
    shutil.copytree(work / "videos", tmp_path / "videos")
    monkeypatch.chdir(tmp_path)
    make_manifest()
    script = tmp_path / "script.py"
    script.write_text("print('once')\n" + BLOCKS[0].replace("ViT-B/16", "tiny"))
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\n", "")


def test_features_are_those_of_the_command(
    page: dict[str, Any], at_work: Path, tmp_path: Path, run_featx
) -> None:
    run_featx("extract", "videos", "--to", tmp_path / "features", "--model", "tiny")
    theirs = featx.open_store(tmp_path / "features")
    assert sorted(theirs) == sorted(page["store"]) and len(theirs) == 20
    for id in theirs:
        for column in ("features", "pts", "frame_index"):
            assert np.array_equal(getattr(theirs[id], column), getattr(page["store"][id], column))
    assert page["report"].there_already == 20 and page["report"].failures == []


def test_text_is_that_of_clip(page: dict[str, Any]) -> None:
    import clip
    import torch

    from featx.encoders.load import load_model

    with torch.no_grad():
        plain = load_model("tiny").model.encode_text(clip.tokenize(["a person opens a door", "a dog"]))
    plain = plain / plain.norm(dim=-1, keepdim=True)
    text = featx.encode_text(page["store"], ["a person opens a door", "a dog"])
    assert text.dtype == torch.float32 and not text.requires_grad
    torch.testing.assert_close(text, plain, atol=1e-5, rtol=0)
    assert torch.equal(featx.encode_text("tiny", "a dog"), featx.encode_text(page["store"], ["a dog"]))


@pytest.mark.parametrize("query", ["a person opens a door", Path("door.png")], ids=["sentence", "picture"])
@pytest.mark.parametrize("level", ["moments", "videos", "frames"])
def test_search_finds_what_the_command_prints(
    page: dict[str, Any], at_work: Path, query: str | Path, level: str, run_featx
) -> None:
    words = ["--image", query] if isinstance(query, Path) else [query]
    printed = run_featx("search", "features/mine", *words, "--level", level, "--top", 4, "--format", "json")
    (answer,) = json.loads(printed)["queries"]
    given = [query]
    if isinstance(query, Path):
        given += [Image.open(query), np.asarray(Image.open(query))]
    for one in given:
        hits = featx.search("features/mine", one, level=level, top=4)
        found = [(hit.id, round(hit.start_s, 6), round(hit.end_s, 6), hit.score) for hit in hits]
        assert found == [(f["video"], f["start_s"], f["end_s"], f["score"]) for f in answer["finds"]]
        assert len(found) == 4


def trained_by_command(tmp_path: Path, run_featx, *words: object) -> Path:
    to = tmp_path / "both"
    named = ["--store", "features/mine", "--manifest", "mine.jsonl", "--to", to]
    run_featx("train", *named, *words)
    return to


def test_training_learns_what_the_command_learns(
    page: dict[str, Any], at_work: Path, tmp_path: Path, run_featx
) -> None:
    from safetensors.numpy import load_file

    theirs = trained_by_command(tmp_path, run_featx, "--prompts", 4, "--layers", 1, "--steps", 20)
    ours, same = (load_file(run / "adapter.safetensors") for run in (Path(page["run"]), theirs))
    assert ours.keys() == same.keys() and len(ours) > 5
    assert all(np.array_equal(ours[name], same[name]) for name in ours)
    calls: list[tuple[int, int, str]] = []
    again = featx.train_adapter(
        store=Path("features/mine"), manifest=Path("mine.jsonl"), to=Path("runs/short"), prompts=4, layers=1,
        steps=20, progress=lambda *said: calls.append(said),
    )  # fmt: skip
    assert again.folder == Path("runs/short") and again.summary == page["run"].summary and calls == []


def test_progress_of_training_is_told(page: dict[str, Any], at_work: Path, tmp_path: Path, capfd) -> None:
    calls: list[tuple[int, int, str]] = []
    asked = {"store": page["store"], "manifest": "mine.jsonl", "prompts": 0, "layers": 1, "steps": 30}
    run = featx.train_adapter(**asked, to=tmp_path / "told", progress=lambda *said: calls.append(said))
    assert calls[-1][:2] == (30, 30) and capfd.readouterr() == ("", "")
    assert run.notes and "30 steps" in run.notes[0]


@pytest.mark.parametrize("arguments", [{}, {"classes": "seen"}], ids=["all", "seen"])
def test_the_table_is_that_of_the_command(
    page: dict[str, Any], at_work: Path, arguments: dict[str, str], run_featx
) -> None:
    runs = ["runs/short", "runs/both"]
    words = [word for name, value in arguments.items() for word in (f"--{name}", value)]
    printed = run_featx("eval", *runs, *words, "--format", "markdown")
    ours = featx.evaluate_runs([runs[0], Path(runs[1])], **arguments)
    assert ours.to_markdown() == printed.rstrip("\n")
    of_table = json.loads(
        run_featx("table", "closed-set" if not arguments else "open-set", *runs, "--format", "json")
    )
    percents = [100 * results.metrics["top1"] for results in ours.results]
    assert percents == [row["top-1 %"] for row in of_table["rows"] if row["top-1 %"] is not None][-2:]


def test_to_pandas(page: dict[str, Any], at_work: Path, monkeypatch: pytest.MonkeyPatch, run_featx) -> None:
    table = page["table"]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(featx.FeatxError, match="pip install pandas"):
        table.to_pandas()
    monkeypatch.undo()
    pytest.importorskip("pandas")
    rows = json.loads(run_featx("eval", "runs/short", "runs/both", "--format", "json"))["rows"]
    assert table.to_pandas().to_dict("records") == rows


def test_probabilities_are_those_of_predict_and_eval(
    page: dict[str, Any], at_work: Path, tmp_path: Path, run_featx
) -> None:
    store, adapter = page["store"], featx.load_adapter("runs/both")
    probabilities = adapter.classify(store)
    words = ["--store", "features/mine", "--adapter", "runs/both", "--top", 99, "--format", "json"]
    printed = json.loads(run_featx("predict", *words))["predictions"]
    assert [one["video"] for one in printed] == list(store) and probabilities.shape == (20, 4)
    for one, row in zip(printed, probabilities, strict=True):
        assert {c["class"]: c["score"] for c in one["classes"]} == dict(
            zip(adapter.classes, row, strict=True)
        )
    test = featx.ClipDataset(store, "mine.jsonl", split="test")
    assert adapter.classes == test.classes and adapter.texts == test.texts
    hit = adapter.classify("features/mine", test.ids).argmax(axis=1) == test.labels
    (results,) = featx.evaluate_runs("runs/both").results
    assert hit.mean() == pytest.approx(results.metrics["top1"])
    assert np.array_equal(adapter.classify(store, test.ids[0]), adapter.classify(store, [test.ids[0]]))
    assert adapter.classify(store, []).shape == (0, 4)


def test_paths_are_strings_or_paths(page: dict[str, Any], at_work: Path, tmp_path: Path) -> None:
    reports = [
        featx.extract_features(kind("videos/rising"), to=kind(tmp_path / "x"), model="tiny")
        for kind in (str, Path)
    ]
    assert [(one.added, one.there_already) for one in reports] == [(5, 0), (0, 5)]
    assert list(featx.open_store(str(tmp_path / "x"))) == list(featx.open_store(tmp_path / "x"))


def test_errors_speak_python(page: dict[str, Any], at_work: Path, tmp_path: Path) -> None:
    def error_of(call) -> str:
        with pytest.raises(featx.FeatxError) as caught:
            call()
        return str(caught.value)

    assert error_of(lambda: featx.open_store("nowhere")).startswith("nowhere: not a feature store")
    assert error_of(lambda: featx.search("features/mine", "a", level="movies")).startswith("level=movies: ")
    assert error_of(lambda: featx.search("features/mine", "a", topp=1)).startswith("topp: no such argument")
    assert error_of(lambda: featx.search("features/mine", " ")).startswith("QUERY: is empty")
    assert error_of(lambda: featx.search("features/mine", 3)).startswith("query: must be a sentence")
    assert error_of(lambda: featx.search("features/mine", np.zeros((3, 3)))).startswith(
        "query: an array must be"
    )
    assert error_of(lambda: featx.search("features/mine", Path("no.png"))) == "image=no.png: no such file"
    assert error_of(lambda: featx.encode_text("ViT", ["a"])).startswith("model=ViT: neither 'tiny'")
    assert error_of(lambda: featx.encode_text("tiny", [])).startswith("sentences: ")
    assert "no such video" not in error_of(lambda: page["store"]["x"]) and "no video 'x'" in error_of(
        lambda: page["store"]["x"]
    )
    assert (
        error_of(lambda: featx.extract_features("no", to=tmp_path, model="tiny"))
        == "no: no such file or folder"
    )


def test_a_video_that_cannot_be_decoded_is_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "bad.mp4").write_bytes(b"no video")
    report = featx.extract_features(tmp_path / "videos", to=tmp_path / "features", model="tiny")
    assert (report.added, [failure.id for failure in report.failures]) == (0, ["bad.mp4"])
    assert report.failures_file.exists() and report.notes


def test_a_sentence_that_is_cut_is_a_warning(page: dict[str, Any], at_work: Path) -> None:
    with pytest.warns(featx.FeatxWarning, match="longer than CLIP's 77 tokens"):
        featx.search("features/mine", "door " * 100)
    with pytest.warns(featx.FeatxWarning, match="1 of 2 sentences"):
        featx.encode_text("features/mine", ["door " * 100, "door"])
