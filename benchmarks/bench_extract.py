"""How fast extraction is, as fractions of what its parts can do alone in the same run.

    make bench-extract
    .venv/bin/python benchmarks/bench_extract.py --videos FOLDER --parts decode,small,encode,precision,memory,windows,index

Absolute times mean little on a shared machine; the ratios compare both sides within seconds of each other.
Without --videos, clips of the moving-shapes world are generated at 320 x 240.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from bench_small_files import bench_small_files
from bench_store import bench_index, bench_windows

from featx.clip.preprocess import Preprocessing, fast_filter
from featx.encoders.openai_checkpoint import OPENAI_MARKS
from featx.extract.decoding.ffmpeg_args import DecodeOptions
from featx.extract.plan.settings import ExtractSettings
from featx.extract.plan.videos import SourceVideo
from featx.extract.workers.decoder_pool import DecoderPool, PictureOptions
from featx.extract.workers.messages import FrameCounts, VideoDone
from featx.extract.workers.worker import encode_videos
from featx.extract.workers.worker_pool import WorkerPool
from featx.store.writing.writer import StoreWriter
from featx.video.ffmpeg import ffmpeg_path
from featx.video.files import ENDINGS

INPUT_SIZE = 224
CORES = os.cpu_count() or 1
DAMAGED = "dc_corrupted.mp4"  # counts for neither side


class NoSink:
    """Counts, and keeps nothing."""

    def store(self, *_: object) -> None:
        """Forgets a video."""

    def fail(self, failure: object) -> None:
        """A benchmark is about videos that can be decoded.

        Raises:
            SystemExit: Always.
        """
        raise SystemExit(f"cannot be decoded: {failure}")


class NoEncoder:
    """Answers at once."""

    def start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        """Returns zeros."""
        return lambda: np.zeros((len(pixels), 1), np.float32)


def extract(
    videos: list[Path], encoder: object, batch: int, fast: bool, size: int = INPUT_SIZE
) -> FrameCounts:
    """Runs featx's pipeline on videos, without a store."""
    decode = DecodeOptions(fast=Preprocessing(size) if fast else None)
    sources = iter([SourceVideo(str(index), path) for index, path in enumerate(videos)])
    pool = DecoderPool(sources, CORES, PictureOptions(Preprocessing(size), decode))
    return encode_videos(iter(pool), encoder, batch, "float16", NoSink(), lambda _: None)  # type: ignore[arg-type]


def ffmpeg_alone(path: Path) -> None:
    """Decodes, scales and crops a video with ffmpeg's command line, one thread, and throws the pixels away."""
    command = [
        ffmpeg_path(),
        "-nostdin",
        "-v",
        "error",
        "-threads",
        "1",
        "-filter_threads",
        "1",
        "-i",
        str(path),
    ]
    command += [
        "-an",
        "-vf",
        fast_filter(Preprocessing(INPUT_SIZE)),
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "pipe:1",
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def plain_loop(path: Path) -> int:
    """What one would write by hand: PyAV, then CLIP's first two transforms with PIL."""
    import av
    from PIL import Image

    count = 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = frame.to_image()
            short = min(picture.size)
            width, height = (int(INPUT_SIZE * side / short) for side in picture.size)
            picture = picture.resize((width, height), Image.Resampling.BICUBIC)
            left, top = round((width - INPUT_SIZE) / 2), round((height - INPUT_SIZE) / 2)
            np.asarray(picture.crop((left, top, left + INPUT_SIZE, top + INPUT_SIZE)))
            count += 1
    return count


def seconds(work: Callable[[], object]) -> float:
    """Returns how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def compare(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], frames: int, rounds: int
) -> dict:
    """Times both in turn; the ratio is the median over the rounds of theirs / ours."""
    times = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    ratio = statistics.median(their / our for our, their in times)
    our_s, their_s = (statistics.median(column) for column in zip(*times, strict=True))
    row = {
        "what": name,
        "ours_frames_per_s": frames / our_s,
        "other_frames_per_s": frames / their_s,
        "ratio": ratio,
    }
    print(
        f"{name:70s} {row['ours_frames_per_s']:9.1f} {row['other_frames_per_s']:9.1f} {ratio:7.2f}",
        flush=True,
    )
    return row


def bench_decode(videos: list[Path], rounds: int) -> list[dict]:
    """The pipeline with an encoder that does nothing."""
    frames = sum(plain_loop(path) for path in videos)
    # one job a video and core at a time, the longest first, on both sides
    with ThreadPoolExecutor(CORES) as threads:
        alone = lambda: list(threads.map(ffmpeg_alone, videos))  # noqa: E731
        ours = lambda: extract(videos, NoEncoder(), 64, fast=True)  # noqa: E731
        rows = [compare("fast, no encoder / ffmpeg alone on all cores", ours, alone, frames, rounds)]
    with ProcessPoolExecutor(CORES, mp_context=multiprocessing.get_context("spawn")) as processes:
        list(processes.map(plain_loop, videos[-1:] * CORES))  # started and imported before the clock runs
        plain = lambda: list(processes.map(plain_loop, videos))  # noqa: E731
        ours = lambda: extract(videos, NoEncoder(), 64, fast=False)  # noqa: E731
        rows.append(
            compare(
                "exact, no encoder / plain PyAV + PIL loop in a process a core", ours, plain, frames, rounds
            )
        )
    return rows


def random_vit():
    """Returns ViT-B/16's image tower with random weights (and a text tower of one layer)."""
    import torch
    from clip.model import CLIP

    torch.manual_seed(0)
    return CLIP(512, INPUT_SIZE, 12, 768, 16, 77, 49408, 512, 1, 1).float().eval().requires_grad_(False)


def encoder_of(precision: str, batch: int):
    """Returns an ImageEncoder with random weights on the GPU if there is one."""
    import torch

    from featx.encoders.images import ImageEncoder
    from featx.encoders.openai import of_module

    loaded = of_module(random_vit())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return ImageEncoder(loaded, device, precision, batch_size=batch)  # type: ignore[arg-type]


def bench_encode(videos: list[Path], rounds: int, batch: int, folder: Path) -> list[dict]:
    """The whole run (workers, store) with ViT-B/16 against the bare encoder on as many ready frames, same batches."""
    import torch

    weights = folder / "random.pt"
    torch.save(random_vit().state_dict() | dict.fromkeys(OPENAI_MARKS, torch.zeros(())), weights)
    precision = "fp16" if torch.cuda.is_available() else "fp32"
    encoder = encoder_of(precision, batch)
    frames = sum(plain_loop(path) for path in videos)
    ready = np.random.default_rng(0).integers(0, 256, (batch, INPUT_SIZE, INPUT_SIZE, 3), dtype=np.uint8)
    encoder.encode(ready)

    def bare() -> None:
        for _ in range(-(-frames // batch)):
            encoder.encode(ready)

    rows = []
    for preprocess in ("exact", "fast"):
        settings = ExtractSettings(model=str(weights), batch_size=batch, preprocess=preprocess)  # type: ignore[arg-type]
        for round_number in range(rounds):
            to = folder / f"{preprocess}-{round_number}"
            with (
                WorkerPool(settings) as worker_pool,
                StoreWriter(to, worker_pool.ready.fingerprint) as writer,
            ):
                sources = [SourceVideo(str(index), path) for index, path in enumerate(videos)]

                def ours(
                    worker_pool: WorkerPool = worker_pool,
                    writer: StoreWriter = writer,
                    sources: list = sources,
                ) -> None:
                    for message in worker_pool.work(sources):
                        if isinstance(message, VideoDone):
                            writer.add(message.video.id, message.rows, message.video_info)
                    writer.commit()

                name = f"{preprocess}, ViT-B/16 {precision}, videos to store / bare encoder on ready frames"
                rows.append(compare(name, ours, bare, frames, 1))
    return rows


def bench_precision(rounds: int, batch: int) -> list[dict]:
    """bf16 against fp32, and how near its features are."""
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 28, 28, 3), dtype=np.uint8)
    pixels = pixels.repeat(8, axis=1).repeat(8, axis=2)  # blocks: noise of single pixels is no picture
    full, half = encoder_of("fp32", batch), encoder_of("bf16", batch)
    one, other = full.encode(pixels), half.encode(pixels)
    cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    row = compare(
        "ViT-B/16 bf16 / fp32", lambda: half.encode(pixels), lambda: full.encode(pixels), batch, rounds
    )
    row["cosine_min"] = float(cosine.min())
    print(f"    cosine of bf16 to fp32 features: at least {cosine.min():.6f}")
    return [row]


def bench_memory(folder: Path) -> list[dict]:
    """Peak memory (process and ffmpeg) for one minute and for ten minutes of 1080p, every frame, tiny CLIP."""
    minute, ten = folder / "1min.mp4", folder / "10min.mp4"
    make = [ffmpeg_path(), "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=25:d=60"]
    subprocess.run([*make, "-c:v", "libx264", "-preset", "ultrafast", str(minute)], check=True)
    loop = [
        ffmpeg_path(),
        "-v",
        "error",
        "-y",
        "-stream_loop",
        "9",
        "-i",
        str(minute),
        "-c",
        "copy",
        str(ten),
    ]
    subprocess.run(loop, check=True)
    peaks = []
    for path in (minute, ten):
        command = [sys.executable, __file__, "--measure", str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks.append(json.loads(done.stdout.splitlines()[-1]))
    ratio = max(p["total"] for p in peaks[1:]) / peaks[0]["total"]
    print(
        f"{'peak memory, 10 min of 1080p / 1 min, MB':70s} {peaks[1]['total']:9.0f} {peaks[0]['total']:9.0f} {ratio:7.2f}"
    )
    return [{"what": "peak memory MB", "one_minute": peaks[0], "ten_minutes": peaks[1], "ratio": ratio}]


def measure(path: Path) -> None:
    """Extracts one video in this process and prints its peak memory."""
    from featx.encoders.images import ImageEncoder
    from featx.encoders.load import load_model

    tiny = load_model("tiny")
    counts = extract([path], ImageEncoder(tiny), 64, fast=False, size=tiny.input_size)
    own, ffmpeg = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(
        json.dumps({"frames": counts.frames_encoded, "python": own, "ffmpeg": ffmpeg, "total": own + ffmpeg})
    )


def generated(folder: Path) -> list[Path]:
    """Makes clips of the moving-shapes world, scaled up to 320 x 240."""
    from featx.data_manifests.moving_shapes.encode import encode
    from featx.data_manifests.moving_shapes.world import draw_clip

    made = []
    for index in range(8):
        small, large = folder / f"s{index}.mp4", folder / f"{index}.mp4"
        encode(draw_clip(np.random.default_rng(index), "star", "growing"), small, 20)
        scale = [
            ffmpeg_path(),
            "-v",
            "error",
            "-y",
            "-stream_loop",
            "3",
            "-i",
            str(small),
            "-vf",
            "scale=320:240",
        ]
        subprocess.run([*scale, str(large)], check=True)
        made.append(large)
    return made


def main() -> None:
    """Parses the command line and runs the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--parts", default="decode,small,encode,precision,memory,windows,index")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--to", type=Path, default=Path("build/bench-extract.json"))
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return
    parts = options.parts.split(",")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if options.videos:
            found = sorted(options.videos.iterdir(), key=lambda path: -path.stat().st_size)
            videos = [path for path in found if path.suffix in ENDINGS and path.name != DAMAGED]
        else:
            videos = generated(folder)
        print(f"{'ours / other':70s} {'ours':>9s} {'other':>9s} {'ratio':>7s}   (frames/s; {CORES} cores)")
        rows: list[dict] = []
        if "decode" in parts:
            rows += bench_decode(videos, options.rounds)
        if "small" in parts:
            rows += bench_small_files(folder)
        if "precision" in parts:
            rows += bench_precision(options.rounds, options.batch)
        if "encode" in parts:
            some = [path for path in videos if plain_loop(path) <= 60] or videos[:1]
            rows += bench_encode(some, 1, options.batch, folder)
        if "memory" in parts:
            rows += bench_memory(folder)
        if "windows" in parts:
            rows += bench_windows(folder)
        if "index" in parts:
            rows += bench_index(folder)
    options.to.parent.mkdir(parents=True, exist_ok=True)
    options.to.write_text(json.dumps(rows, indent=2))
    print(f"{options.to}")


if __name__ == "__main__":
    main()
