"""What a tiny video costs: processor time of featx and its ffmpeg a file, alone and eight to a process.

Part of `make bench-extract`; `.venv/bin/python benchmarks/bench_small_files.py` runs it alone.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from featx.clip.preprocess import Preprocessing
from featx.extract.decoding.batch import BATCH
from featx.extract.plan.videos import SourceVideo
from featx.extract.workers.decoder_pool import PictureOptions, decode_small_videos, decode_video
from featx.video.ffmpeg import ffmpeg_path

FILES = 160


def processor_ms(work: Callable[[], object]) -> float:
    """Returns user and system time of this process and of those that it waited for, in milliseconds."""

    def used() -> float:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return 1000 * sum(usage.ru_utime + usage.ru_stime for usage in usages)

    before = used()
    work()
    return used() - before


def bench_small_files(folder: Path) -> list[dict]:
    """Decodes copies of a file of 5 frames of 64 x 64; ffmpeg's bare start is measured beside it."""
    first = folder / "small.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10:duration=0.5", "-pix_fmt", "yuv420p"]
    subprocess.run([ffmpeg_path(), "-v", "error", *source, "-c:v", "libx264", str(first)], check=True)
    files = [Path(shutil.copy(first, folder / f"small-{number}.mp4")) for number in range(FILES)]
    videos = [SourceVideo(path.name, path) for path in files]
    options = PictureOptions(Preprocessing(64))

    def alone() -> None:
        for video in videos:
            list(decode_video(video, options))

    def together() -> None:
        for begin in range(0, FILES, BATCH):
            list(decode_small_videos(videos[begin : begin + BATCH], options))

    def start() -> None:
        for _ in range(FILES):
            subprocess.run([ffmpeg_path(), "-version"], stdout=subprocess.DEVNULL, check=True)

    together()
    rows = []
    for name, work in (("alone", alone), (f"{BATCH} to a process", together), ("ffmpeg -version", start)):
        rows.append({"what": f"tiny files, {name}", "processor_ms_per_file": processor_ms(work) / FILES})
        print(f"{rows[-1]['what']:70s} {rows[-1]['processor_ms_per_file']:9.1f} ms a file", flush=True)
    return rows


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        bench_small_files(Path(scratch))
