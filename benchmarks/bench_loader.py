"""What reading clips from an S3 server of this machine costs a training step, at ViT-B/16's shapes.

make bench-loader

600 videos of 250 rows of 512 numbers in 51 classes, batches of 64 clips of 16 frames, 16 prompts, 2 temporal layers, text
tower of ViT-B/16's size with random weights. The same run from the folder and from SeaweedFS; with all features in
memory, and with room for a tenth of them. On a CPU a step is long, so the loader's own time is printed as well.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
from bench_remote import ROWS, VIDEOS, WIDTH
from bench_train import make_clip
from object_servers import KEYS, free_port, make_bucket, program, running
from stores import video, video_info

from featx.cli import app
from featx.clip.preprocess import Preprocessing
from featx.encoders.load import load_model
from featx.store.backends.open import open_backend
from featx.store.schema import Fingerprint
from featx.store.writing.writer import StoreWriter

CLASSES, STEPS = 51, 12
ALL_GIB = VIDEOS * ROWS * WIDTH * 2 / 2**30


def make_store(folder: Path) -> Path:
    """Makes a store of random rows that says it was made by random weights, and a manifest of its videos."""
    weights = folder / "weights.pt"
    torch.save(make_clip("cpu").state_dict(), weights)
    source = f"openai:{weights}"
    loaded = load_model(source)
    made_by = Fingerprint(
        model="random",
        weights_sha256=loaded.weights_sha256,
        input_size=loaded.input_size,
        width=WIDTH,
        preprocess=Preprocessing(loaded.input_size).name("exact"),
    )
    with StoreWriter(folder / "store", made_by, "zarr", source) as writer:
        for number in range(VIDEOS):
            writer.add(f"{number}.mp4", video(ROWS, number, WIDTH), video_info(f"{number}.mp4"))
    names = [f"class {number}" for number in range(CLASSES)]
    lines: list[dict[str, object]] = [
        {"featx_manifest": 1, "name": "random", "classes": {name: name for name in names}}
    ]
    lines += [
        {"id": f"{number}.mp4", "path": f"{number}.mp4", "split": "train", "label": names[number % CLASSES]}
        for number in range(VIDEOS)
    ]
    (folder / "manifest.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return folder / "store"


def train(store: str, folder: Path, name: str, memory_gib: float) -> str:
    """Trains a few steps; returns what the log says of the last ones."""
    words = [
        "train",
        "--store",
        store,
        "--manifest",
        str(folder / "manifest.jsonl"),
        "--to",
        str(folder / name),
    ]
    words += ["--prompts", "16", "--layers", "2", "--batch-size", "64", "--steps", str(STEPS)]
    words += ["--log-every", "1", "--feature-memory-gib", str(memory_gib), "--quiet"]
    app(words, standalone_mode=False)
    lines = [json.loads(line) for line in (folder / name / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "share_loader" in line]
    last, first = steps[-1], steps[0]
    return (
        f"{name:24} {last['share_loader']:.2%} of the steps' time, of the first {first['share_loader']:.2%}; {STEPS} steps "
        f"take {last['seconds']:.0f} s"
    )


def main() -> None:
    """Prints a line for each place and amount of memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= KEYS | {"FEATX_CACHE": str(folder / "cache")}
        (folder / "server").mkdir()
        path, port = make_store(folder), free_port()
        words = [program("weed"), "mini", f"-dir={folder / 'server'}", "-ip=127.0.0.1", f"-s3.port={port}"]
        with running(words, f"http://127.0.0.1:{port}", folder / "log") as address:
            os.environ["AWS_ENDPOINT_URL"] = address
            make_bucket(address, "bucket")
            backend = open_backend("s3://bucket/store")
            for file in path.rglob("*"):
                if file.is_file() and file.name != "lock":
                    backend.put(file.relative_to(path).as_posix(), file.read_bytes())
            for what, memory_gib in (("all in memory", 2 * ALL_GIB), ("room for a tenth", ALL_GIB / 10)):
                for where, store in (("folder", str(path)), ("S3", "s3://bucket/store")):
                    print(train(store, folder, f"{where}, {what}", memory_gib))


if __name__ == "__main__":
    main()
