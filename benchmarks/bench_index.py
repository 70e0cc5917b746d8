"""The index of very many videos: seconds and memory to make it, to open it, and for look-ups by id.

make bench-index ARGS="--videos 70000000"

No features are made, only records as a store of web clips would have them. Building and opening are processes of their
own, so that each says its own memory.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from featx.store.schema import ShardRecord, shard_name
from featx.store.snapshot import SnapshotIndex
from featx.store.snapshot_build import build
from featx.store.snapshot_columns import read_snapshot_header

VIDEOS_A_SHARD, ROWS = 3200, 20
RECORD_BYTES = 500_000
LOOK_UPS = 10_000


def id_of(number: int) -> str:
    """Returns an id as a web collection may have it, of 33 characters."""
    return f"clips/{number % 1000:03d}/{number:012d}-{number * 2654435761 % 2**32:08x}.mp4"


def records(videos: int) -> Iterator[tuple[ShardRecord, int]]:
    """Yields the records of a store."""
    for first in range(0, videos, VIDEOS_A_SHARD):
        record = ShardRecord(shard_name(first // VIDEOS_A_SHARD), "zarr", {})
        record.ids = [id_of(number) for number in range(first, min(first + VIDEOS_A_SHARD, videos))]
        record.rows = [ROWS] * len(record.ids)
        yield record, RECORD_BYTES


def peak_gib() -> float:
    """Returns the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def make(folder: Path, videos: int) -> None:
    """Builds the index and prints what it took."""
    began = time.monotonic()
    build(folder, records(videos))
    size_gib = sum(file.stat().st_size for file in folder.rglob("*.bin")) / 2**30
    print(
        f"built: {time.monotonic() - began:.0f} s, {peak_gib():.2f} GiB of memory at most, {size_gib:.2f} GiB on disk"
    )


def look_up(folder: Path, videos: int) -> None:
    """Opens the index, looks ids up, and prints what it took."""
    before, began = peak_gib(), time.monotonic()
    stated = read_snapshot_header(folder)
    assert stated is not None
    index = SnapshotIndex(folder, folder, stated)
    print(f"opened: {time.monotonic() - began:.2f} s, {peak_gib() - before:.2f} GiB more")
    dice = random.Random(0)
    wanted = {id_of(number): number for number in (dice.randrange(videos) for _ in range(LOOK_UPS))}
    began = time.monotonic()
    found = {video_id: index.number_of[video_id] for video_id in wanted}
    seconds = time.monotonic() - began
    assert found == wanted
    print(
        f"{LOOK_UPS:,} look-ups: {seconds:.2f} s, {peak_gib():.2f} GiB of memory at most, of which {before:.2f} GiB is Python's"
    )
    assert not sum(f"{video_id}?" in index.number_of for video_id in wanted)


def main() -> None:
    """Runs both steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=2_000_000)
    parser.add_argument("--step", choices=["make", "look-up"])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.step:
        (make if options.step == "make" else look_up)(options.folder, options.videos)
        return
    with tempfile.TemporaryDirectory(prefix="featx-index-") as folder:
        for step in ("make", "look-up"):
            words = [sys.executable, __file__, "--videos", str(options.videos)]
            subprocess.run([*words, "--step", step, "--folder", folder], check=True)


if __name__ == "__main__":
    main()
