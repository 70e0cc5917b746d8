"""With FEATX_LOG=json nothing but JSON objects is on standard error, and standard output is what it was."""

import json
import os
import subprocess
import sys
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from featx.output import json_log

KEYS = {"time", "level", "event", "message"}


def run(folder: Path, *words: object, log: str | None = "json", **variables: str) -> tuple[int, str, str]:
    environment = os.environ | variables | ({"FEATX_LOG": log} if log else {})
    done = subprocess.run(
        [sys.executable, "-m", "featx", *map(str, words)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


def objects(lines: str) -> list[dict[str, Any]]:
    read = [json.loads(line) for line in lines.splitlines()]
    for one in read:
        assert set(one) >= KEYS and one["level"] in ("info", "warning", "error")
        assert datetime.fromisoformat(one["time"]).utcoffset() is not None
    return read


def test_every_line_of_a_whole_run_is_an_object(work: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").symlink_to(work / "videos")
    code, out, err = run(tmp_path, "manifest", "folder", "--videos", "videos", "--to", "mine.jsonl")
    assert code == 0, err
    objects(err)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    code, out, err = run(
        tmp_path,
        "extract",
        "videos",
        "broken.mp4",
        "--model",
        "tiny",
        "--to",
        "features",
        "--device",
        "cpu,cpu",
    )
    said = objects(err)
    assert code == 3 and out == ""
    failed = [one for one in said if one["event"] == "failed"]
    assert len(failed) == 1 and failed[0]["id"] == "broken.mp4" and failed[0]["error"]
    assert said[-1]["level"] == "error" and said[-1]["code"] == 3
    data = ("--store", "features", "--manifest", "mine.jsonl")
    code, out, err = run(
        tmp_path, "train", *data, "--to", "run", "--steps", 4, "--batch-size", 4, "--log-every", 1
    )
    assert code == 0, err
    objects(err)
    code, out, err = run(tmp_path, "eval", "run")
    assert code == 0, err
    objects(err)
    assert run(tmp_path, "eval", "run", log=None)[1] == out
    code, out, err = run(tmp_path, "search", "features", "a star", "--format", "csv")
    assert objects(err)[0]["message"].startswith("20 videos")
    assert run(tmp_path, "search", "features", "a star", "--format", "csv", log=None)[1] == out


@pytest.mark.parametrize(
    ("words", "log"),
    [
        (["extract", "nothing-there", "--to", "x"], "json"),
        (["extract", "--to", "x"], "json"),
        (["extract", "videos", "--to", "x", "--no-such-option"], "json"),
        (["--no-such-option"], "json"),
        (["no-such-command"], "json"),
        (["--log-format", "json", "store", "info", "nothing-there"], None),
    ],
)
def test_an_error_is_one_object(tmp_path: Path, words: list[str], log: str | None) -> None:
    code, out, err = run(tmp_path, *words, log=log)
    (said,) = objects(err)
    assert (code, said["code"], said["level"], out) == (2, 2, "error", "")


def test_progress_has_its_figures(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from featx.output.progress import LINE_SECONDS, Progress

    monkeypatch.setenv("FEATX_LOG", "json")
    now = [0.0]
    with Progress("features", 10, "videos", clock=lambda: now[0]) as shown:
        now[0] = 2 * LINE_SECONDS
        shown.show(4, "7 frames/s")
    (said,) = objects(capfd.readouterr().err)
    assert (said["event"], said["name"], said["done"], said["total"], said["unit"]) == (
        *("progress", "features", 4, 10),
        "videos",
    )
    assert said["left_s"] == pytest.approx(2 * LINE_SECONDS / 4 * 6) and said["message"] == "7 frames/s"


def test_an_unknown_format_is_refused(featx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEATX_LOG", raising=False)
    outcome = featx("--log-format", "xml", "store", "info", tmp_path)
    assert (outcome.code, outcome.err) == (2, "featx: --log-format xml: must be text or json\n")
    monkeypatch.setenv("FEATX_LOG", "yaml")
    assert "FEATX_LOG=yaml: must be text or json" in featx("store", "info", tmp_path).err


def test_warnings_of_libraries_are_objects_too(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATX_LOG", "json")
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    json_log.choose(None)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = json_log._show_warning
        warnings.warn("old\nthing", DeprecationWarning, stacklevel=1)
    (said,) = objects(capfd.readouterr().err)
    assert (said["level"], said["message"], said["category"]) == (
        "warning",
        "old\nthing",
        "DeprecationWarning",
    )
