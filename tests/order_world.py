"""A small store and manifest of two classes that only the order of frames parts."""

from pathlib import Path

import numpy as np

from featx.clip.load import load_clip
from featx.manifest.videos import Header, Manifest, Video, write_manifest
from featx.store.schema import Fingerprint, VideoFacts, VideoFeatures
from featx.store.writing.writer import StoreWriter

CLASSES = {"growing": "star growing", "shrinking": "star shrinking"}
PER_CLASS = {"train": 24, "test": 20}


def tiny_fingerprint(**changes: str) -> Fingerprint:
    tiny = load_clip("tiny")
    shape = {"input_size": tiny.input_size, "width": tiny.width}
    return Fingerprint(model=tiny.name, weights_sha256=tiny.weights_sha256, **shape, **changes)


def make_world(folder: Path, fingerprint: Fingerprint) -> None:
    """A class goes from one point to another, its twin back again; video lengths and noise vary."""
    rng = np.random.default_rng(0)
    ends = rng.standard_normal((2, fingerprint.width))
    videos = []
    with StoreWriter(folder / "features", fingerprint, model_source="tiny") as writer:
        for split, count in PER_CLASS.items():
            for label in CLASSES:
                first, last = ends if label == "growing" else ends[::-1]
                for index in range(count):
                    rows = int(rng.integers(10, 60))
                    part = np.linspace(0, 1, rows)[:, None]
                    noise = 0.3 * rng.standard_normal((rows, fingerprint.width))
                    features = (first + part * (last - first) + noise).astype(np.float16)
                    video_id = f"{label}/{split}-{index}.mp4"
                    row = VideoFeatures(features, np.arange(rows) / 25, np.arange(rows, dtype=np.int32))
                    writer.add(video_id, row, VideoFacts(video_id, 1, 1, 64, 64, rows / 25))
                    videos.append(Video(id=video_id, path=video_id, split=split, label=label))
    header = Header(name="order", classes=CLASSES)
    write_manifest(Manifest(header, videos, folder / "manifest.jsonl"))
