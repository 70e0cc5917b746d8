"""A run's folder and a sweep's belong to one process at a time; the second one is refused by name and changes nothing."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from synthetic import make_episodes

from featx.errors import FeatxError
from featx.files.lock import FolderLock, locked
from featx.manifest.videos import read_manifest

QUICK = ["--prompts", 0, "--layers", 0, "--device", "cpu"]


def content_of(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_whatever_writes_into_a_locked_folder_is_refused(class_data: Path, tmp_path: Path, featx) -> None:
    to, recipe, episodes = tmp_path / "run", tmp_path / "recipe.toml", tmp_path / "episodes.jsonl"
    recipe.write_text('device = "cpu"\nlayers = 0\n')
    make_episodes(read_manifest(class_data / "manifest.jsonl"), episodes, 1, 2, 2)
    given = ["--store", class_data / "features", "--manifest", class_data / "manifest.jsonl", "--to", to]
    to.mkdir()
    lock = FolderLock(to)
    for words, what in (
        (["train", *QUICK], "run"),
        (["train", *QUICK, "--fresh"], "run"),
        (["train", *QUICK, "--episodes", episodes], "run"),
        (["train", "--task", "proposals", "--grid-step-s", 0.1], "run"),
        (["baseline", "zero-shot"], "run"),
        (["sweep", recipe, "--grid", "prompts=0"], "sweep"),
    ):
        outcome = featx(*words, *given)
        assert outcome.code == 2 and f"{to}: another featx is writing into this {what}" in outcome.err, words
        assert set(content_of(to)) == {to / "lock"}
    lock.release()
    assert featx("train", *QUICK, *given).code == 0
    assert not (to / "lock").exists()


def test_a_run_keeps_its_lock_until_it_ends_and_no_longer(class_data: Path, tmp_path: Path, featx) -> None:
    to = tmp_path / "run"
    words = ["train", "--store", class_data / "features", "--manifest", class_data / "manifest.jsonl", "--to", to,
             "--prompts", 1, "--layers", 0, "--batch-size", 4, "--steps", 100_000, "--checkpoint-steps", 1, "--device", "cpu"]  # fmt: skip
    first = subprocess.Popen([sys.executable, "-m", "featx", *map(str, words)], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 120
        while not list(to.glob("checkpoints/step-*.safetensors")):
            assert first.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        outcome = featx(*words, "--seed", 1)
        assert outcome.code == 2 and f"{to}: another featx is writing into this run" in outcome.err
        outcome = featx(*words, "--fresh")  # which would have thrown its checkpoints away
        assert outcome.code == 2 and list(to.glob("checkpoints/step-*.safetensors"))
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    outcome = featx(*words, "--steps", 2)  # the lock ended with it: refused for what it holds now
    assert outcome.code == 2 and "holds an interrupted run" in outcome.err


def test_nothing_is_left_of_a_folder_in_which_nothing_was_done(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "new", "run"):
        raise KeyError
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(FeatxError, match="cannot be made"), locked(tmp_path / "file" / "new", "run"):
        raise AssertionError


@pytest.mark.parametrize("deletes", [False, True])
def test_who_waits_gets_the_lock_that_the_folder_then_has(tmp_path: Path, deletes: bool) -> None:
    """Also where its holder deletes the file, and a third one has made a new one meanwhile."""
    holder, said, taken = FolderLock(tmp_path), threading.Event(), threading.Event()

    def wait() -> None:
        lock = FolderLock(tmp_path, before_waiting=said.set)
        taken.set()
        lock.release()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert said.wait(60) and not taken.wait(0.1)
    if deletes:
        (tmp_path / "lock").unlink()
        third = FolderLock(tmp_path)
        holder.release()
        assert not taken.wait(0.1)
        holder = third
    holder.release()
    waiting.join(60)
    assert taken.is_set()
    FolderLock(tmp_path).release()
