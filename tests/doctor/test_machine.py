"""What this process may use is found: the limits are real ones where the machine lets a test set them."""

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from featx.doctor.cgroup import MemoryLimit, core_limit, memory_limit
from featx.doctor.check import State
from featx.doctor.machine import check_cores, check_memory, check_shared_memory

GROUPS = Path("/sys/fs/cgroup")


def found_by(check: str, before: Callable[[], object]) -> str:
    """Runs a check in a process that is limited first."""
    script = f"from featx.doctor.machine import {check} as c; x = c(); print(x.state, x.found, x.advice, sep=' | ')"
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, preexec_fn=before, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("soft", "hard", "wanted"),
    [
        (200, 300, "warning | 200 may be open | ulimit -n 300 allows more"),
        (200, 4096, "warning | 200 may be open | ulimit -n 1024 allows more"),
        (2000, 4096, "ok | 2,000 may be open | "),
    ],
)
def test_few_open_files_are_a_warning(soft: int, hard: int, wanted: str) -> None:
    limits = (soft, hard)
    found = found_by("check_open_files", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits))
    assert found == wanted.strip()


def test_a_hard_limit_on_open_files_needs_an_administrator() -> None:
    limits = (200, 200)
    found = found_by("check_open_files", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits))
    assert found.startswith("warning | 200 may be open | the limit is hard")


def test_cores_that_were_taken_away_are_counted() -> None:
    one = {min(os.sched_getaffinity(0))}
    found = found_by("check_cores", lambda: os.sched_setaffinity(0, one))
    assert f"1 of {os.cpu_count()} may be used" in found


@contextlib.contextmanager
def group(controller: str, files: dict[str, str]) -> Iterator[Path]:
    """A real control group of version 1, or a skipped test."""
    folder = GROUPS / controller / f"featx-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("control groups cannot be made here")
    try:
        for name, content in files.items():
            try:
                (folder / name).write_text(content)
            except OSError:
                pytest.skip(f"{controller}: {name} cannot be set here")
        yield folder
    finally:
        folder.rmdir()


def test_a_real_limit_on_time_is_a_warning() -> None:
    with group("cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"}) as folder:
        found = found_by("check_cores", lambda: (folder / "cgroup.procs").write_text(str(os.getpid())))
    assert found.startswith("warning") and "only 0.5 cores' worth" in found and "--decoders 1" in found


def test_a_real_limit_on_memory_is_a_warning() -> None:
    with group("memory", {"memory.limit_in_bytes": str(2**30)}) as folder:
        found = found_by("check_memory", lambda: (folder / "cgroup.procs").write_text(str(os.getpid())))
    assert found.startswith("warning") and "of the 1.0 GiB of this container" in found


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{content}\n")
    return folder


def test_the_narrowest_limit_above_a_process_counts(tmp_path: Path) -> None:
    """Version 2, as systemd and Slurm nest groups: the job has no limit of its own, the step above it has."""
    own = tmp_path / "own"
    own.write_text("0::/system.slice/job_7/step_0/task\n")
    groups = tree(
        tmp_path / "groups",
        {
            "cpu.max": "800000 100000",
            "system.slice/cpu.max": "max 100000",
            "system.slice/job_7/cpu.max": "250000 100000",
            "system.slice/job_7/step_0/task/cpu.max": "max 100000",
            "other/cpu.max": "1000 100000",
            "system.slice/job_7/memory.max": str(8 * 2**30),
            "system.slice/job_7/memory.current": str(7 * 2**30),
            "system.slice/job_7/memory.stat": f"anon 5\ninactive_file {3 * 2**30}",
            "system.slice/job_7/step_0/memory.max": "max",
            "system.slice/job_7/step_0/memory.current": "5",
        },
    )
    assert core_limit(groups, own) == 2.5
    assert memory_limit(groups, own) == MemoryLimit(
        8 * 2**30, 4 * 2**30
    )  # 3 of the 7 GiB are only kept files


def test_in_a_container_the_root_is_looked_at(tmp_path: Path) -> None:
    """The path is that of the host, and only the container's own group is mounted, as the root."""
    own = tmp_path / "own"
    own.write_text("5:cpu,cpuacct:/docker/1f\n4:memory:/docker/1f\n0::/\n")
    groups = tree(
        tmp_path / "groups",
        {
            "cpu,cpuacct/cpu.cfs_quota_us": "150000",
            "cpu,cpuacct/cpu.cfs_period_us": "100000",
            "memory/memory.limit_in_bytes": "9223372036854771712",
            "memory/memory.usage_in_bytes": "1000",
        },
    )
    assert core_limit(groups, own) == 1.5
    assert memory_limit(groups, own) is None
    assert core_limit(tmp_path / "none", own) is None and memory_limit(groups, tmp_path / "none") is None


def test_no_limit_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featx.doctor.machine.core_limit", lambda: None)
    monkeypatch.setattr("featx.doctor.machine.memory_limit", lambda: None)
    assert check_cores().state is State.OK
    assert check_memory().found.endswith(" free")


def test_missing_and_small_shared_memory_is_a_warning(tmp_path: Path, small_disk: Path) -> None:
    assert check_shared_memory(tmp_path / "shm").state is State.WARNING
    small = check_shared_memory(small_disk)
    assert small.state is State.WARNING and "--shm-size=1g" in small.advice
