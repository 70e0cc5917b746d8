"""Searching a generated store: is everything that was planted found, how fast, and what does an index miss.

    make bench-search                                      # 1,000,000 frames
    make bench-search ARGS='--rows 100000 --skip-index'

The store: videos of 400 frames (16 s) of random unit vectors in float16. Among them are planted, for a query of its
own each, single frames (cosine 0.3 to 0.9), moments of 2 to 8 s whose frames have a cosine of 0.3, and videos whose
frames have a cosine of 0.1; the best that chance brings a frame is about 0.22. Random directions are the worst that
an index can meet, so FAISS is also asked about a second store, whose frames wander around scenes as those of videos.

Memory is measured in the same run, before and after: the best sum of 256 MB with all threads.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from featx.evaluate.search.exact.scan import StretchScan
from featx.evaluate.search.exact.search import open_scans, search_exactly
from featx.evaluate.search.exact.settings import SearchSettings
from featx.evaluate.search.index.search import open_index
from featx.evaluate.search.speed import memory_gb_per_s
from featx.store.reader import FeatureStore
from featx.store.schema import Fingerprint, VideoFeatures, VideoInfo
from featx.store.writing.writer import StoreWriter

WIDTH, VIDEO_ROWS, FRAMES_A_SECOND = 512, 400, 25
PLANTED = 50  # of each kind
LEVELS = ("frames", "moments", "videos")
SCENES = 20_000


def unit(vectors: np.ndarray) -> np.ndarray:
    """Returns rows of unit length."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def near(query: np.ndarray, cosine: float, noise: np.ndarray) -> np.ndarray:
    """Returns (N, D) unit vectors of a given cosine with a query, otherwise in the directions of (N, D) noise."""
    across = unit(noise - (noise @ query)[:, None] * query)
    return cosine * query + np.sqrt(1 - cosine**2) * across


def plant(rng: np.random.Generator, videos: int) -> dict[str, list[tuple[int, int, int, float, np.ndarray]]]:
    """Draws what is planted: video, first row, rows, cosine, query; each in a video of its own."""
    queries = unit(rng.standard_normal((len(LEVELS) * PLANTED, WIDTH)))
    where = iter(zip(rng.permutation(videos)[: len(queries)].tolist(), queries, strict=True))
    planted: dict[str, list[tuple[int, int, int, float, np.ndarray]]] = {level: [] for level in LEVELS}
    for level in LEVELS:
        for _ in range(PLANTED):
            video, query = next(where)
            rows = {"frames": 1, "videos": VIDEO_ROWS}.get(level) or int(rng.integers(50, 201))
            cosine = {"moments": 0.3, "videos": 0.1}.get(level) or float(rng.uniform(0.3, 0.9))
            planted[level].append((video, int(rng.integers(VIDEO_ROWS - rows + 1)), rows, cosine, query))
    return planted


def make_store(path: Path, rows: int, structured: bool = False) -> dict[str, list]:
    """Writes a store of random videos, with what is planted, or with scenes."""
    rng = np.random.default_rng(0)
    videos = rows // VIDEO_ROWS
    planted = {} if structured else plant(rng, videos)
    of_video = {one[0]: one for some in planted.values() for one in some}
    scenes = rng.standard_normal((SCENES, WIDTH)).astype(np.float32)
    made = Fingerprint(model="bench", weights_sha256="0" * 64, input_size=224, width=WIDTH)
    times, numbers = np.arange(VIDEO_ROWS) / FRAMES_A_SECOND, np.arange(VIDEO_ROWS, dtype=np.int32)
    with StoreWriter(path, made) as writer:
        for video in range(videos):
            features = rng.standard_normal((VIDEO_ROWS, WIDTH), dtype=np.float32)
            if structured:  # four scenes; a frame has a cosine of about 0.9 with the next of its scene
                features = features / 3 + scenes[rng.integers(SCENES, size=4).repeat(VIDEO_ROWS // 4)]
            features = unit(features)
            if video in of_video:
                _, first, count, cosine, query = of_video[video]
                features[first : first + count] = near(query, cosine, features[first : first + count])
            content = VideoFeatures(features.astype(np.float16), times, numbers)
            video_info = VideoInfo(f"{video}", 1, 1, 320, 240, VIDEO_ROWS / FRAMES_A_SECOND)
            writer.add(f"{video:06d}", content, video_info)
    return planted


def bench_level(store: FeatureStore, level: str, planted: list, rounds: int) -> dict[str, Any]:
    """Finds what was planted, and times queries."""
    settings = SearchSettings(level=level)  # type: ignore[arg-type]
    queries = torch.from_numpy(np.stack([one[4] for one in planted])).float()
    size = len(planted)
    began = time.perf_counter()
    scans = list(open_scans(store, settings))
    search_exactly(scans, queries[:1], settings.top, settings)
    first_s = time.perf_counter() - began
    rows = sum(len(scan.stretch) for scan in scans)
    memory = [memory_gb_per_s()]
    walls = []
    for number in range(rounds):
        began = time.perf_counter()
        search_exactly(scans, queries[number % size][None], settings.top, settings)
        walls.append(time.perf_counter() - began)
    memory.append(memory_gb_per_s())
    one_s = statistics.median(walls)
    began = time.perf_counter()
    found = search_exactly(scans, queries, settings.top, settings)
    all_s = time.perf_counter() - began
    overlaps = [overlap(hits[0], *one[:3]) for hits, one in zip(found, planted, strict=True)]
    gb_per_s = rows * WIDTH * 2 / one_s / 1e9
    row: dict[str, Any] = {
        "level": level,
        "units": sum(len(scan.candidates) for scan in scans),
        "planted": size,
        "found_first": sum(one > 0 for one in overlaps),
        "median_overlap": statistics.median(overlaps),
        "worst_overlap": min(overlaps),
        "first_query_s": first_s,
        "query_s": one_s,
        "queries_at_once": size,
        "all_queries_s": all_s,
        "gb_per_s": gb_per_s,
        "memory_gb_per_s": max(memory),
        "share_of_memory": gb_per_s / max(memory),
        "linear": linear(scans, queries[:1], settings, rounds),
    }
    print(
        f"{level:8} {row['units']:9,} candidates  {row['found_first']}/{size} planted first, overlap {row['median_overlap']:.2f} "
        f"(worst {row['worst_overlap']:.2f})  first query {first_s:.2f} s, then {one_s:.3f} s; {size} at once {all_s:.2f} s  "
        f"{gb_per_s:.2f} GB/s, {row['share_of_memory']:.0%} of {max(memory):.1f}",
        flush=True,
    )
    shares = "  ".join(f"{rows:,}: {wall_s:.3f} s" for rows, wall_s in row["linear"])
    print(f"{'':8} rows: {shares}", flush=True)
    return row


def overlap(hit: Any, video: int, first: int, rows: int) -> float:
    """Returns intersection over union, in rows, of what was found and what was planted."""
    if int(hit.video) != video:
        return 0.0
    common = min(hit.first_row + hit.rows, first + rows) - max(hit.first_row, first)
    return max(common, 0) / (max(hit.first_row + hit.rows, first + rows) - min(hit.first_row, first))


def linear(
    scans: list[StretchScan], query: Tensor, settings: SearchSettings, rounds: int
) -> list[tuple[int, float]]:
    """Returns rows and seconds of a query over growing parts of the store."""
    times = []
    for share in (8, 4, 2, 1):
        some = scans[: max(1, len(scans) // share)]
        walls = []
        for _ in range(rounds):
            began = time.perf_counter()
            search_exactly(some, query, settings.top, settings)
            walls.append(time.perf_counter() - began)
        times.append((sum(len(scan.stretch) for scan in some), statistics.median(walls)))
    return times


def bench_index(
    store: FeatureStore, folder: Path, level: str, what: str, queries: Tensor, first: list[str]
) -> dict:
    """Makes an index, times it, and counts how many queries have the video first that an exact search has first."""
    settings = SearchSettings(level=level)  # type: ignore[arg-type]
    began = time.perf_counter()
    index, _ = open_index(folder, store, queries, settings)
    made_s = time.perf_counter() - began
    rows = []
    for probe in index.header.recall:
        asked = settings.model_copy(update={"probe": probe})
        index.search(queries[:1], settings.top, asked)
        began = time.perf_counter()
        found = index.search(queries, settings.top, asked)
        query_s = (time.perf_counter() - began) / len(queries)
        same = sum(bool(hits) and hits[0].video == video for hits, video in zip(found, first, strict=True))
        rows.append(
            {
                "probe": probe,
                "recall_at_10": index.header.recall[probe],
                "recall_at_10_of_queries": index.header.recall_asked[probe],
                "query_s": query_s,
                "hits": same,
            }
        )
        print(
            f"index of {what}, {level}: {index.header.units:,} in {index.header.cells:,} cells, {probe:4} looked at: "
            f"recall@10 {rows[-1]['recall_at_10']:.3f}, of the queries {rows[-1]['recall_at_10_of_queries']:.3f}, same first video {same}/{len(queries)}, {1000 * query_s:.1f} ms",
            flush=True,
        )
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"index of {what}, {level}: made and measured in {made_s:.0f} s, {size / 1e6:,.0f} MB", flush=True)
    return {"what": what, "level": level, "made_s": made_s, "bytes": size, "rows": rows}


def bench_adding(path: Path, folder: Path, level: str, queries: Tensor, had: int) -> dict:
    """Times how an index goes on with a store that has got more videos, ``had`` videos before."""
    settings = SearchSettings(level=level)  # type: ignore[arg-type]
    store = FeatureStore(path)
    began = time.perf_counter()
    index, done = open_index(folder, store, queries, settings)
    added_s = time.perf_counter() - began
    began = time.perf_counter()
    open_index(folder, store, queries, settings)
    opened_s = time.perf_counter() - began
    print(
        f"index of {level}, {had} videos: {done}, {added_s:.1f} s in all; opened in {opened_s:.3f} s",
        flush=True,
    )
    row = {"level": level, "had_videos": had, "videos": len(store) - had, "added_s": added_s}
    return {**row, "opened_s": opened_s, "units": index.header.units}


def add_videos(path: Path, videos: int) -> None:
    """Adds random videos to a store."""
    rng = np.random.default_rng(2)
    times, numbers = np.arange(VIDEO_ROWS) / FRAMES_A_SECOND, np.arange(VIDEO_ROWS, dtype=np.int32)
    with StoreWriter(path, FeatureStore(path).header.fingerprint) as writer:
        for video in range(videos):
            features = unit(rng.standard_normal((VIDEO_ROWS, WIDTH))).astype(np.float16)
            video_info = VideoInfo(f"{video}", 1, 1, 320, 240, VIDEO_ROWS / FRAMES_A_SECOND)
            writer.add(f"added-{video:06d}", VideoFeatures(features, times, numbers), video_info)


def main() -> None:
    """Parses the command line and runs everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--skip-index", action="store_true")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 for all cores")
    parser.add_argument("--to", type=Path, default=Path("build/bench-search.json"))
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    result: dict[str, Any] = {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "rows": options.rows,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        planted = make_store(folder / "random", options.rows)
        print(
            f"{options.rows:,} rows of {WIDTH} float16 numbers made in {time.perf_counter() - began:.0f} s",
            flush=True,
        )
        store = FeatureStore(folder / "random")
        result["exact"] = [bench_level(store, level, planted[level], options.rounds) for level in LEVELS]
        if not options.skip_index:
            result["index"] = []
            for level in LEVELS[:2]:
                queries = torch.from_numpy(np.stack([one[4] for one in planted[level]])).float()
                videos = [f"{one[0]:06d}" for one in planted[level]]
                target = folder / f"index-{level}"
                result["index"].append(bench_index(store, target, level, "random vectors", queries, videos))
            had = len(store)
            add_videos(folder / "random", max(1, had // 100))
            result["adding"] = [
                bench_adding(folder / "random", folder / f"index-{level}", level, queries, had)
                for level in LEVELS[:2]
            ]
            make_store(folder / "scenes", options.rows, structured=True)
            store = FeatureStore(folder / "scenes")
            rng = np.random.default_rng(1)
            queries = torch.from_numpy(unit(rng.standard_normal((PLANTED, WIDTH)))).float()
            for level in LEVELS[:2]:
                settings = SearchSettings(level=level)  # type: ignore[arg-type]
                exact = search_exactly(open_scans(store, settings), queries, 1, settings)
                videos = [hits[0].video for hits in exact]
                target = folder / f"index-scenes-{level}"
                result["index"].append(bench_index(store, target, level, "scenes", queries, videos))
    options.to.parent.mkdir(parents=True, exist_ok=True)
    options.to.write_text(json.dumps(result, indent=2))
    print(options.to)


if __name__ == "__main__":
    main()
