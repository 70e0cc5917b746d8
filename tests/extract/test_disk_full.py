"""A full disk ends the run with one line, and leaves a store that the next run goes on with."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
set -e
mount -t tmpfs -o size=1m tmpfs "$1"
head -c 900000 /dev/zero > "$1/ballast"
code=0
"$2" -m featx.cli extract "$3" --to "$1/s" --model tiny --format "$4" || code=$?
test "$code" = 2
rm "$1/ballast"
"$2" -m featx.cli extract "$3" --to "$1/s" --model tiny --format "$4"
"""


@pytest.mark.parametrize("format", ["zarr", "hdf5"])
def test_disk_full_then_room_again(shape_videos: Path, tmp_path: Path, format: str) -> None:
    probe = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "mount",
        "-t",
        "tmpfs",
        "tmpfs",
        str(tmp_path),
    ]
    if subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here")
    command = [
        *probe[:4],
        "bash",
        "-c",
        SCRIPT,
        "-",
        str(tmp_path),
        sys.executable,
        str(shape_videos),
        format,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (
        "the disk is full; 6 videos were not stored. Make room and run the same command again" in done.stderr
    )
    assert "6 videos added" in done.stderr
