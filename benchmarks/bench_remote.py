"""Windows of rows of a store on an S3 server of this machine: milliseconds a window, with and without a cache.

make bench-remote
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
from object_servers import KEYS, free_port, make_bucket, program, running
from stores import fingerprint, video, video_info

from featx.store.backends.open import open_backend
from featx.store.reader import FeatureStore
from featx.store.remote_rows import CACHE_BYTES
from featx.store.writing.writer import StoreWriter

VIDEOS, ROWS, WIDTH = 600, 250, 512
WINDOWS, FRAMES, ROUNDS = 200, 16, 10


def make(folder: Path, format: str) -> Path:
    """Makes a store of random rows."""
    with StoreWriter(folder / format, fingerprint(WIDTH), format) as writer:
        for number in range(VIDEOS):
            writer.add(f"{number}.mp4", video(ROWS, number, WIDTH), video_info(f"{number}.mp4"))
    return folder / format


def measure(url: str, cache_bytes: int) -> list[float]:
    """Returns milliseconds a window of each round."""
    store, rng = FeatureStore(Path(url), cache_bytes), np.random.default_rng(0)
    found = []
    for _ in range(ROUNDS):
        ids = [f"{number}.mp4" for number in rng.integers(0, VIDEOS, WINDOWS)]
        starts = rng.integers(0, ROWS - FRAMES + 1, WINDOWS)
        began = time.perf_counter()
        store.read_windows(ids, starts, FRAMES)
        found.append(1000 * (time.perf_counter() - began) / WINDOWS)
    return found


def main() -> None:
    """Prints a line a format and cache."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= KEYS | {"FEATX_CACHE": str(folder / "cache")}
        (folder / "server").mkdir()
        port = free_port()
        words = [program("weed"), "mini", f"-dir={folder / 'server'}", "-ip=127.0.0.1", f"-s3.port={port}"]
        with running(words, f"http://127.0.0.1:{port}", folder / "log") as address:
            os.environ["AWS_ENDPOINT_URL"] = address
            make_bucket(address, "bucket")
            for format in ("zarr", "hdf5"):
                path, url = make(folder, format), f"s3://bucket/{format}"
                backend = open_backend(url)
                for file in path.rglob("*"):
                    if file.is_file() and file.name != "lock":
                        backend.put(file.relative_to(path).as_posix(), file.read_bytes())
                for cache, what in ((1, "nothing kept"), (CACHE_BYTES, "usual cache")):
                    first, *later = measure(url, cache)
                    print(
                        f"{format:5} {what:13} first {first:.2f}, then {statistics.median(later):.2f} ms a window"
                    )


if __name__ == "__main__":
    main()
