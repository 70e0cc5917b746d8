"""A folder that files are written into: room, its file system, and how fast it takes what is written and flushed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from featx.doctor.check import GIB, Check, State, readable_size
from featx.errors import system_error_line
from featx.store.mirror import cache_folder

TRIED_BYTES = 32 * 2**20
BLOCK = bytes(range(256)) * 2**12  # 1 MiB
LEAST_FILES = 10_000
# A store is written in shards of tens of MiB: slow is a disk at which extraction on a GPU would wait.
CLASSES = ((500.0, "fast"), (100.0, "medium"), (0.0, "slow"))  # from so many MB/s on
MOUNTS = Path("/proc/self/mountinfo")


def check_temporary() -> Check:
    """Looks at the folder of temporary files, where `featx predict` puts features."""
    advice = "TMPDIR names another folder"
    return check_folder("temporary files", Path(tempfile.gettempdir()), 2 * GIB, advice)


def check_cache() -> Check:
    """Looks at the folder where records of stores at URLs are kept."""
    check = check_folder("cache", cache_folder(), GIB, "FEATX_CACHE names another folder")
    # only those need it
    return dataclasses.replace(check, state=State.WARNING) if check.state is State.FAILURE else check


def check_folder(name: str, folder: Path, least_bytes: int, advice: str) -> Check:
    """Writes a file of 32 MiB, flushes it to the disk, and removes it.

    Args:
        name: What the check is called.
        folder: The folder; one that is not there yet is made, and removed again.
        least_bytes: Less room than that is a warning.
        advice: What to do about a folder that does not serve.
    """
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    try:
        with made(folder):
            speed = _written_mb_per_s(folder)
    except OSError as error:
        return Check(name, State.FAILURE, system_error_line(error), advice)
    free, kind = shutil.disk_usage(there).free, file_system_of(there)
    rated = next(word for least, word in CLASSES if speed >= least)
    found = f"{folder}: {readable_size(free)} free, {kind}, {rated} (writes {speed:,.0f} MB/s)"
    if (files := _files_left(there)) is not None and files < LEAST_FILES:
        return Check(name, State.WARNING, f"{found}, room for only {files:,} more files", advice)
    if free < least_bytes or rated == "slow":
        return Check(name, State.WARNING, found, advice)
    return Check(name, State.OK, found)


@contextlib.contextmanager
def made(folder: Path) -> Iterator[None]:
    """Within it, the folder is there; what was made for it is removed in the end."""
    new = [one for one in (folder, *folder.absolute().parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # somebody put something into it
            for one in new:
                one.rmdir()


def _written_mb_per_s(folder: Path) -> float:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".featx-doctor-") as file:
        began = time.perf_counter()
        try:
            for _ in range(TRIED_BYTES // len(BLOCK)):
                file.write(BLOCK)
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:  # a full disk has no file's name
            raise OSError(error.errno, error.strerror, str(folder)) from error
        return TRIED_BYTES / 1e6 / (time.perf_counter() - began)


def _files_left(folder: Path) -> int | None:
    """Returns how many files there is room for; None where the file system does not count them."""
    state = os.statvfs(folder)
    return state.f_favail if state.f_files else None


def file_system_of(folder: Path, mounts: Path = MOUNTS) -> str:
    """Returns the kind of file system that a folder is on, such as ``ext4`` or ``nfs4``.

    Args:
        folder: One that is there.
        mounts: What is mounted where, in the form of Linux' ``/proc/self/mountinfo``.
    """
    real, best, kind = folder.resolve(), "", "unknown file system"
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4].encode("latin-1", "replace").decode("unicode_escape")  # a blank is \040
        if len(point) >= len(best) and real.is_relative_to(point):
            best, kind = point, after.split()[0]
    return kind
