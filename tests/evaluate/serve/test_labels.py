"""Labels that are given in the explorer: on the disk before the answer, a manifest that featx train learns from."""

import os
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from explorer import extract

from featx.errors import FeatxError
from featx.evaluate.serve.labels import Labels
from featx.manifest.videos import read_manifest

pytest.importorskip("uvicorn")


def test_labels_are_a_manifest_after_every_change(tmp_path: Path) -> None:
    labels = Labels(tmp_path / "s", "videos")
    assert labels.listed()["labels"] == [] and not labels.file.exists()
    part = labels.add("a.mp4", "a.mp4", 1.0, 2.5, "wave")
    labels.add("b.mp4", "b.mp4", 0.0, 2.0, "jump")
    labels.add("a.mp4", "a.mp4", 1.0, 2.5, "jump")  # of the same part: the last one counts
    manifest = read_manifest(labels.file)
    assert labels.file == tmp_path / "s-labels.jsonl" and manifest.header.root == "videos"
    assert [(v.part_of, v.start_s, v.end_s, v.label, v.split) for v in manifest.videos] == [
        ("a.mp4", 1.0, 2.5, "jump", "train"),
        ("b.mp4", 0.0, 2.0, "jump", "train"),
    ]
    assert list(manifest.header.classes) == ["jump"]
    assert Labels(tmp_path / "s", "videos").listed() == labels.listed()
    assert labels.remove(part) and not labels.remove(part)
    assert [video.part_of for video in read_manifest(labels.file).videos] == ["b.mp4"]
    with pytest.raises(FeatxError, match="must end after"):
        labels.add("a.mp4", "a.mp4", 2.0, 2.0, "wave")
    labels.remove(labels.listed()["labels"][0]["id"])
    assert not labels.file.exists()


def test_what_could_not_be_written_is_not_there(small_disk: Path) -> None:
    labels = Labels(small_disk / "s", "videos")
    labels.add("a.mp4", "a.mp4", 0.0, 1.0, "wave")
    before = labels.file.read_bytes()
    with pytest.raises(OSError), (small_disk / "filler").open("wb") as filler:
        while True:
            filler.write(bytes(4096))
            filler.flush()
    with pytest.raises(FeatxError, match="cannot write it"):
        for number in range(1000):
            labels.add(f"{number}.mp4", "x" * 2000, 0.0, 1.0, "wave")
    assert labels.file.read_bytes().startswith(before[:20])
    assert Labels(small_disk / "s", "videos").listed()["labels"] == labels.listed()["labels"]


def test_a_crash_loses_no_label_that_was_confirmed(shape_videos: Path, tmp_path: Path, featx) -> None:
    """Killed without warning between labels; then a training starts from what is there."""
    store = extract(shape_videos, tmp_path / "s")
    command = [sys.executable, "-m", "featx", "serve", str(store), "--port", "0"]
    for motion in ("growing", "falling"):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1].rstrip("/")
        for number in range(3):
            asked = {"video": f"{motion}/{number}.mp4", "start_s": 0.1, "end_s": 1.5, "label": motion}
            ask = urllib.request.Request(
                f"{address}/api/labels?{urllib.parse.urlencode(asked)}", method="POST"
            )
            assert urllib.request.urlopen(ask).status == 200
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
    manifest = tmp_path / "s-labels.jsonl"
    assert [video.label for video in read_manifest(manifest).videos] == ["growing"] * 3 + ["falling"] * 3
    words = ["--steps", 2, "--batch-size", 4, "--set", "warmup=0", "--prompts", 2, "--layers", 1]
    outcome = featx("train", "--store", store, "--manifest", manifest, "--to", tmp_path / "run", *words)
    assert outcome.code == 0, outcome.err


def test_the_interface_checks_labels(client) -> None:
    asked = {"video": "growing/0.mp4", "start_s": 0.2, "end_s": 0.9, "label": "a <b>class</b>"}
    bad = [
        {"video": "none"},
        {"start_s": -1},
        {"end_s": 0.1},
        {"label": " "},
        {"label": ""},
        {"end_s": "inf"},
    ]
    for wrong in bad:
        assert client.post("/api/labels", params=asked | wrong).status_code in (400, 404), wrong
    assert (
        client.post("/api/labels", params=asked, headers={"origin": "http://evil.example"}).status_code == 403
    )
    (label,) = client.post("/api/labels", params=asked).json()["labels"]
    assert label["label"] == "a <b>class</b>" and label["video"] == "growing/0.mp4"
    assert client.get("/api/labels").json()["labels"] == [label]
    assert client.delete("/api/labels", params={"id": label["id"]}).json()["labels"] == []
    assert client.delete("/api/labels", params={"id": label["id"]}).status_code == 404
