"""Cores, memory, shared memory, open files and temporary space: what this process may use, not what the machine has."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from pathlib import Path

from featx.doctor.check import GIB, Check, State, in_gib

CGROUP = Path("/sys/fs/cgroup")
LEAST_MEMORY_BYTES = 4 * GIB
LEAST_SHARED_BYTES = 256 * 2**20
LEAST_FILES = 1024
LEAST_TEMPORARY_BYTES = 2 * GIB


def check_machine(cgroup: Path = CGROUP, shared: Path = Path("/dev/shm")) -> list[Check]:
    """Looks at everything of this page.

    Args:
        cgroup: Where the limits of a container are.
        shared: Where shared memory is.
    """
    return [
        check_cores(cgroup),
        check_memory(cgroup),
        check_shared_memory(shared),
        check_open_files(),
        check_temporary(Path(tempfile.gettempdir())),
    ]


def check_cores(cgroup: Path = CGROUP) -> Check:
    """Compares the cores that this process may use with those that programs see."""
    seen, allowed = os.cpu_count() or 1, len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    found = f"{allowed} of {seen} cores may be used"
    if quota is not None and quota < allowed:
        return Check(
            "CPU cores",
            State.WARNING,
            f"{found}, but only {quota:g} cores' worth of time (the container's limit)",
            f"threads that wait for each other cost time: give --decoders {max(round(quota), 1)}, or raise the limit",
        )
    return Check("CPU cores", State.OK, found)


def _quota(cgroup: Path) -> float | None:
    """Returns how many cores' worth of time a container may use; None without a limit."""
    text = _read(cgroup / "cpu.max")  # "max 100000" or "150000 100000"
    if text is None:
        return None
    quota, _, period = text.partition(" ")
    return None if quota == "max" else int(quota) / int(period)


def check_memory(cgroup: Path = CGROUP) -> Check:
    """Looks at the memory that is free, and at the container's limit."""
    free = _free_memory_bytes()
    limit = _read(cgroup / "memory.max")
    found = f"{in_gib(free)} free"
    if limit not in (None, "max"):
        free = min(free, int(limit or 0) - int(_read(cgroup / "memory.current") or 0))
        found = f"{in_gib(free)} free (of the container's {in_gib(int(limit or 0))})"
    if free < LEAST_MEMORY_BYTES:
        return Check(
            "memory",
            State.WARNING,
            found,
            f"ViT-B/16 and its decoders want {in_gib(LEAST_MEMORY_BYTES)}: give --decoders 1 and a smaller --batch-size",
        )
    return Check("memory", State.OK, found)


def _free_memory_bytes() -> int:
    with Path("/proc/meminfo").open() as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024


def check_shared_memory(folder: Path = Path("/dev/shm")) -> Check:
    """Looks at shared memory, of which containers get 64 MiB if nobody says otherwise."""
    if not folder.is_dir():
        return Check(
            "shared memory", State.WARNING, f"{folder}: not there", "training on several devices needs it"
        )
    size = shutil.disk_usage(folder).total
    if size < LEAST_SHARED_BYTES:
        return Check(
            "shared memory",
            State.WARNING,
            f"{in_gib(size)} in {folder}",
            "training on several devices may stop with a bus error: start the container with --shm-size=1g",
        )
    return Check("shared memory", State.OK, f"{in_gib(size)} in {folder}")


def check_open_files() -> Check:
    """Looks at how many files this process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{soft:,} may be open"
    if soft < LEAST_FILES:
        return Check(
            "open files", State.WARNING, found, f"ulimit -n {min(hard, 4 * LEAST_FILES)} allows more"
        )
    return Check("open files", State.OK, found)


def check_temporary(folder: Path) -> Check:
    """Looks at the space for temporary files, where featx predict and tests put features."""
    free = shutil.disk_usage(folder).free
    found = f"{in_gib(free)} free in {folder}"
    if free < LEAST_TEMPORARY_BYTES:
        return Check("temporary files", State.WARNING, found, "TMPDIR names a folder with more space")
    return Check("temporary files", State.OK, found)


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:
        return None
