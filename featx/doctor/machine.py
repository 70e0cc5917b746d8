"""Cores, memory, shared memory and open files: what this process may use, not what the machine has."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

from featx.doctor.cgroup import core_limit, memory_limit
from featx.doctor.check import GIB, Check, State, readable_size

LEAST_MEMORY_BYTES = 4 * GIB
LEAST_SHARED_BYTES = 256 * 2**20
LEAST_FILES = 1024
SHARED = Path("/dev/shm")


def check_cores() -> Check:
    """Compares the cores that this process may use with those that programs see."""
    seen, allowed = os.cpu_count() or 1, len(os.sched_getaffinity(0))
    found = f"{allowed} of {seen} may be used"
    quota = core_limit()
    if quota is not None and quota < allowed:
        return Check(
            "CPU cores",
            State.WARNING,
            f"{found}, but only {quota:g} cores' worth of time (a limit of the container, service or job)",
            f"threads that wait for each other cost time: give --decoders {max(round(quota), 1)}, or raise the limit",
        )
    return Check("CPU cores", State.OK, found)


def check_memory() -> Check:
    """Looks at the memory that is free, and at the limit of the container, service or job."""
    free, limit = _free_memory_bytes(), memory_limit()
    found = f"{readable_size(free)} free"
    if limit is not None and limit.free_bytes < free:
        free = limit.free_bytes
        found = f"{readable_size(free)} free of the {readable_size(limit.limit_bytes)} of this container, service or job"
    if free < LEAST_MEMORY_BYTES:
        advice = f"ViT-B/16 and its decoders want {readable_size(LEAST_MEMORY_BYTES)}: give --decoders 1 and a smaller --batch-size"
        return Check("memory", State.WARNING, found, advice)
    return Check("memory", State.OK, found)


def _free_memory_bytes() -> int:
    with Path("/proc/meminfo").open() as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024


def check_shared_memory(folder: Path = SHARED) -> Check:
    """Looks at shared memory, of which containers get 64 MiB if nobody says otherwise.

    Args:
        folder: Where it is.
    """
    use = "training on several devices may stop with a bus error: start the container with --shm-size=1g"
    if not folder.is_dir():
        return Check("shared memory", State.WARNING, f"{folder}: not there", use)
    usage = shutil.disk_usage(folder)
    found = f"{readable_size(usage.free)} of {readable_size(usage.total)} free in {folder}"
    if usage.free < LEAST_SHARED_BYTES:
        return Check("shared memory", State.WARNING, found, use)
    return Check("shared memory", State.OK, found)


def check_open_files() -> Check:
    """Looks at how many files this process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return Check("open files", State.OK, "any number may be open")
    found = f"{soft:,} may be open"
    if soft >= LEAST_FILES:
        return Check("open files", State.OK, found)
    wanted = LEAST_FILES if hard == resource.RLIM_INFINITY else min(hard, LEAST_FILES)
    if wanted > soft:
        return Check("open files", State.WARNING, found, f"ulimit -n {wanted} allows more")
    return Check(
        "open files",
        State.WARNING,
        found,
        "the limit is hard: an administrator can raise it (LimitNOFILE= of systemd, docker run --ulimit)",
    )
