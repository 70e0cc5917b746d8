"""Folders that do not take files are found, and nothing is left in those that do."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from featx.doctor.check import State
from featx.doctor.disk import check_cache, check_folder, check_temporary, file_system_of
from featx.doctor.place import check_place

ADVICE = "take another folder"


def test_a_folder_with_room_is_fine_and_is_left_as_it_was(tmp_path: Path) -> None:
    check = check_folder("disk", tmp_path / "new" / "folder", 1, ADVICE)
    assert check.state is not State.FAILURE and "MB/s" in check.found and str(tmp_path) in check.found
    assert list(tmp_path.iterdir()) == []


def test_little_room_is_a_warning(tmp_path: Path) -> None:
    check = check_folder("disk", tmp_path, 2**60, ADVICE)
    assert (check.state, check.advice) == (State.WARNING, ADVICE)


def test_a_full_disk_is_a_failure(small_disk: Path) -> None:
    check = check_folder("disk", small_disk, 1, ADVICE)
    assert check.state is State.FAILURE and "No space left" in check.found and str(small_disk) in check.found
    assert list(small_disk.iterdir()) == []
    assert file_system_of(small_disk) == "tmpfs"
    assert [one.name for one in check_place(str(small_disk))] == ["store: disk"]


def test_a_limit_on_the_size_of_files_is_a_failure(tmp_path: Path) -> None:
    script = (
        "import pathlib, signal, sys; from featx.doctor.disk import check_folder as c\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "x = c('disk', pathlib.Path(sys.argv[1]), 1, ''); print(x.state, x.found)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("failure") and "ulimit -f" in done.stdout


def test_a_place_that_is_a_file_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check = check_folder("disk", tmp_path / "file" / "store", 1, ADVICE)
    assert check.state is State.FAILURE and "Not a directory" in check.found


def test_a_read_only_file_system_is_a_failure(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    check = check_folder("disk", small_disk / "new", 1, ADVICE)
    assert check.state is State.FAILURE and "Read-only file system" in check.found


def test_the_folders_that_are_looked_at_are_those_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert str(tmp_path / "cache") in check_cache().found
    assert check_temporary().found.startswith(f"{tmp_path}:")


def test_a_cache_that_cannot_be_written_is_only_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "file"))
    check = check_cache()
    assert check.state is State.WARNING and "FEATX_CACHE" in check.advice


def test_a_mount_point_with_a_blank_is_understood(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    folder = tmp_path / "a b" / "c"
    folder.mkdir(parents=True)
    point = str(folder.parent).replace(" ", "\\040")
    mounts.write_text(
        "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        f"36 22 0:32 / {point} rw master:5 shared:7 - nfs4 host:/x rw\n"
    )
    assert file_system_of(folder, mounts) == "nfs4"
    assert file_system_of(tmp_path, mounts) == "ext4"


def test_a_place_of_a_store_is_tried(tmp_path: Path) -> None:
    checks = check_place(str(tmp_path / "new" / "store"))
    assert [check.name for check in checks] == ["store: disk", "store: lock", "store: writers"]
    assert [check.state for check in checks[1:]] == [State.OK, State.OK]
    assert list(tmp_path.iterdir()) == []
    refused = check_place("ftp://somewhere/x")
    assert [check.state for check in refused] == [State.FAILURE] and "ftp://" in refused[0].found


def test_a_folder_in_which_everybody_wins_serves_one_machine_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file system here lacks hard links, so the call that makes them does not."""

    def refused(*_words: object, **_more: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refused)
    *_, writers = check_place(str(tmp_path))
    assert writers.state is State.WARNING and "featx work cannot" in writers.advice


def test_a_file_system_without_locks_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Lustre without its mount option flock; no file system here is so."""

    def refused(*_words: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refused)
    (lock,) = (check for check in check_place(str(tmp_path)) if check.name == "store: lock")
    assert lock.state is State.FAILURE and "cannot be locked (Function not implemented)" in lock.found
    assert list(tmp_path.iterdir()) == []
