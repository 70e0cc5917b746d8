"""Limits of the control groups that this process is in: those of a container, a service of systemd, a job of Slurm.

A limit of any group above the process's own holds too, so all are looked at, from its own to the root. Files and units:
Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
UNLIMITED_BYTES = 2**60  # version 1 says "no limit" as a very large number


@dataclass(frozen=True)
class MemoryLimit:
    """A limit on memory, and what the group has of it.

    Attributes:
        limit_bytes: The limit.
        free_bytes: What is left of it; files that the system keeps in memory only to be fast count as free.
    """

    limit_bytes: int
    free_bytes: int


def core_limit(mount: Path = MOUNT, own: Path = OWN) -> float | None:
    """Returns how many cores' worth of time the process may use, or None without a limit.

    Args:
        mount: Where control groups are mounted.
        own: The file that says in which groups the process is.
    """
    limits = []
    for folder in _groups("", mount, own):
        quota, _, period = (_read(folder / "cpu.max") or "max").partition(" ")  # "150000 100000"
        if quota != "max":
            limits.append(int(quota) / int(period))
    for folder in _groups("cpu", mount, own):
        quota, period = _read(folder / "cpu.cfs_quota_us") or "-1", _read(folder / "cpu.cfs_period_us") or "0"
        if int(quota) > 0 and int(period) > 0:
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def memory_limit(mount: Path = MOUNT, own: Path = OWN) -> MemoryLimit | None:
    """Returns the limit on memory that leaves least, or None without a limit.

    Args:
        mount: Where control groups are mounted.
        own: The file that says in which groups the process is.
    """
    names = ("memory.max", "memory.current", "inactive_file")
    names_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    found = [_memory_of(folder, *names) for folder in _groups("", mount, own)]
    found += [_memory_of(folder, *names_1) for folder in _groups("memory", mount, own)]
    return min((one for one in found if one), key=lambda one: one.free_bytes, default=None)


def _memory_of(folder: Path, limit: str, used: str, inactive: str) -> MemoryLimit | None:
    limit_text, used_text = _read(folder / limit), _read(folder / used)
    if limit_text in (None, "max") or used_text is None or int(limit_text or 0) >= UNLIMITED_BYTES:
        return None
    lines = (line.split() for line in (_read(folder / "memory.stat") or "").splitlines())
    kept = {words[0]: int(words[1]) for words in lines if len(words) == 2}.get(inactive, 0)
    limit_bytes = int(limit_text or 0)
    return MemoryLimit(limit_bytes, limit_bytes - int(used_text) + kept)


def _groups(controller: str, mount: Path, own: Path) -> Iterator[Path]:
    """Yields the folders of the process's groups, from its own to the root.

    Args:
        controller: Of version 1; none for version 2.
        mount: Where control groups are mounted.
        own: The file that says in which groups the process is.
    """
    for line in (_read(own) or "").splitlines():
        _, controllers, path = line.split(":", 2)  # "0::/system.slice/job", "4:cpu,cpuacct:/docker/1f"
        if controller not in controllers.split(","):
            continue
        root = mount / controllers if controller else mount
        if controller and not root.is_dir():
            root = mount / controller  # cpu is often a link to cpu,cpuacct
        group = root / path.lstrip("/")
        # In a container the path may be that of the host, of which nothing but the root is mounted.
        yield from (each for each in (group, *group.parents) if each.is_relative_to(root))


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:
        return None
