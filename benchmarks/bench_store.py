"""How fast a store is read: windows of rows against memory-mapped .npy files, and opening a large index.

    make bench-extract                                     # has these parts too
    .venv/bin/python benchmarks/bench_store.py             # windows and index
    .venv/bin/python benchmarks/bench_store.py --parts index --videos 1000000

Windows: 16 consecutive rows at random places of random videos, 64 in a call, disk cache warm. The other side is one
.npy file a video, mapped with numpy, either once for good or at each read; the bound is half of the faster one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from featx.store.index import record_bytes
from featx.store.reader import FeatureStore
from featx.store.schema import (
    ARRAY_NAMES,
    CHUNK_ROWS,
    ChunkTable,
    Fingerprint,
    ShardRecord,
    VideoFeatures,
    VideoInfo,
    record_path,
    shard_name,
)
from featx.store.writing.writer import StoreWriter

WIDTH, WINDOW_ROWS, WINDOWS_A_CALL = 512, 16, 64
FINGERPRINT = Fingerprint(model="bench", weights_sha256="0" * 64, input_size=224, width=WIDTH)


def make_videos(count: int, folder: Path) -> list[str]:
    """Writes the same features as .npy files and as a store in each format; 16 to 599 rows a video."""
    rng = np.random.default_rng(0)
    pool = rng.standard_normal((600, WIDTH)).astype(np.float16)
    lengths = rng.integers(16, 600, count).tolist()
    ids = [f"{index:05d}" for index in range(count)]
    (folder / "npy").mkdir()
    writers = [StoreWriter(folder / format, FINGERPRINT, format) for format in ("zarr", "hdf5")]
    for video_id, rows in zip(ids, lengths, strict=True):
        features = np.roll(pool, int(rng.integers(600)), axis=0)[:rows]
        np.save(folder / "npy" / f"{video_id}.npy", features)
        video = VideoFeatures(features, np.arange(rows) / 25, np.arange(rows, dtype=np.int32))
        for writer in writers:
            writer.add(video_id, video, VideoInfo(video_id, 1, 1, 320, 240, rows / 25))
    for writer in writers:
        writer.__exit__(None, None, None)
    return ids


def calls_per_s(read: Callable[[list[str], np.ndarray], np.ndarray], calls: list) -> float:
    """Returns how many windows a second are read."""
    began = time.perf_counter()
    for ids, starts in calls:
        read(ids, starts)
    return len(calls) * WINDOWS_A_CALL / (time.perf_counter() - began)


def bench_windows(folder: Path, count: int = 1000, rounds: int = 5) -> list[dict]:
    """Times window reads; every ratio is the median over rounds in which all sides are read once."""
    ids = make_videos(count, folder)
    # as plain arrays: numpy's memmap class makes every slice slower
    kept = {
        video_id: np.asarray(np.load(folder / "npy" / f"{video_id}.npy", mmap_mode="r")) for video_id in ids
    }
    rng = np.random.default_rng(1)

    def draw(calls: int) -> list[tuple[list[str], np.ndarray]]:
        drawn = []
        for _ in range(calls):
            names = [ids[index] for index in rng.integers(0, count, WINDOWS_A_CALL)]
            starts = np.array([rng.integers(0, len(kept[name]) - WINDOW_ROWS + 1) for name in names])
            drawn.append((names, starts))
        return drawn

    def mapped(names: list[str], starts: np.ndarray) -> np.ndarray:
        places = zip(names, starts.tolist(), strict=True)
        return np.concatenate([kept[name][start : start + WINDOW_ROWS] for name, start in places])

    def opened(names: list[str], starts: np.ndarray) -> np.ndarray:
        parts = []
        for name, start in zip(names, starts.tolist(), strict=True):
            file = np.load(folder / "npy" / f"{name}.npy", mmap_mode="r")
            parts.append(file[start : start + WINDOW_ROWS])
        return np.concatenate(parts)

    readers: dict[str, Callable[[list[str], np.ndarray], np.ndarray]] = {
        "npy, mapped once": mapped,
        "npy, mapped at each read": opened,
    }
    for format in ("zarr", "hdf5"):
        store = FeatureStore(folder / format)
        readers[format] = lambda names, starts, store=store: (
            store.read_windows(names, starts, WINDOW_ROWS).features
        )
        in_memory = FeatureStore(folder / format, memory_budget_bytes=2**40)
        readers[f"{format}, in memory"] = lambda names, starts, store=in_memory: (
            store.read_windows(names, starts, WINDOW_ROWS).features
        )
    first = {name: calls_per_s(read, draw(10)) for name, read in readers.items()}  # chunks are checked here
    for names, starts in draw(20):
        expected = mapped(names, starts)
        assert all(np.array_equal(read(names, starts), expected) for read in readers.values())
    calls = draw(1000)  # touches every chunk
    for read in readers.values():
        calls_per_s(read, calls)
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        calls = draw(200)
        for name, read in readers.items():
            rates[name].append(calls_per_s(read, calls))
    rows = []
    for name in readers:
        if name.startswith("npy"):
            continue
        for other in ("npy, mapped once", "npy, mapped at each read"):
            ratio = statistics.median(a / b for a, b in zip(rates[name], rates[other], strict=True))
            rows.append(
                {
                    "what": f"windows of {WINDOW_ROWS} rows, {name} / {other}",
                    "ours_windows_per_s": statistics.median(rates[name]),
                    "other_windows_per_s": statistics.median(rates[other]),
                    "ratio": ratio,
                    "ours_first_touch_windows_per_s": first[name],
                }
            )
            print(
                f"{rows[-1]['what']:70s} {rows[-1]['ours_windows_per_s']:9.0f} {rows[-1]['other_windows_per_s']:9.0f} "
                f"{ratio:7.2f}   windows/s; {first[name]:.0f} at the first touch",
                flush=True,
            )
    return rows


def make_index(store: Path, videos: int, shards: int) -> None:
    """Writes the records of a store that has no features: only its index can be read."""
    writer = StoreWriter(store, FINGERPRINT)
    header = writer.header.model_dump()
    writer.__exit__(None, None, None)
    rows = 100
    for number in range(shards):
        ids = [f"class_{index % 400}/video_{index:07d}.mp4" for index in range(number, videos, shards)]
        video_info = {"path": [f"/data/videos/{video_id}" for video_id in ids]}
        video_info |= {
            name: [value] * len(ids)
            for name, value in [
                *(("size_bytes", 1234567), ("mtime_ns", 1700000000123456789), ("width", 320)),
                *(("height", 240), ("duration_s", 4.004), ("complete", True)),
            ]
        }
        name = shard_name(number)
        chunks = {array: -(-len(ids) * rows // CHUNK_ROWS) for array in ARRAY_NAMES}
        chunks["offsets"] = -(-(len(ids) + 1) // CHUNK_ROWS)
        tables = {
            array: ChunkTable(list(range(count)), [4_000_000_000] * count) for array, count in chunks.items()
        }
        files = {f"{name}.zarr/{array}/c/0/0": (1, "0" * 64) for array in ARRAY_NAMES}
        record = ShardRecord(name, "zarr", header, ids, [rows] * len(ids), video_info, files, tables)
        record_path(store, name).write_bytes(record_bytes(record))


OPEN_AND_SAY = """
import json, sys, time
from pathlib import Path
from featx.store.reader import FeatureStore
from featx.store.writing.writer import StoreWriter
def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
before = resident_mb()
began = time.perf_counter()
store = FeatureStore(Path(sys.argv[1]))
seconds = time.perf_counter() - began
memory = resident_mb() - before
began = time.perf_counter()
with StoreWriter(store.path, store.header.fingerprint) as writer:
    assert len(writer.done) == len(store)
writer_s = time.perf_counter() - began
print(json.dumps({"videos": len(store), "shards": len(store.index.shards), "open_s": seconds, "memory_mb": memory,
                  "writer_open_s": writer_s}))
"""


def bench_index(folder: Path, videos: int = 1_000_000, shards: int = 1600) -> list[dict]:
    """Opens the index of many videos in a process of its own, for reading and for writing."""
    store = folder / "index"
    make_index(store, videos, shards)
    command = [sys.executable, "-W", "ignore", "-c", OPEN_AND_SAY, str(store)]
    row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(
        f"open an index of {row['videos']:,} videos in {row['shards']} shards: {row['open_s']:.1f} s, "
        f"{row['memory_mb']:.0f} MB; to go on writing: {row['writer_open_s']:.1f} s",
        flush=True,
    )
    return [{"what": "open an index", **row}]


def main() -> None:
    """Parses the command line and runs the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="windows,index")
    parser.add_argument("--videos", type=int, default=1_000_000, help="of the index")
    parser.add_argument("--shards", type=int, default=1600)
    parser.add_argument("--to", type=Path, default=Path("build/bench-store.json"))
    options = parser.parse_args()
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as scratch:
        if "windows" in options.parts:
            print(f"{'ours / other':70s} {'ours':>9s} {'other':>9s} {'ratio':>7s}   ({os.cpu_count()} cores)")
            rows += bench_windows(Path(scratch))
        if "index" in options.parts:
            rows += bench_index(Path(scratch), options.videos, options.shards)
    options.to.parent.mkdir(parents=True, exist_ok=True)
    options.to.write_text(json.dumps(rows, indent=2))
    print(f"{options.to}")


if __name__ == "__main__":
    main()
