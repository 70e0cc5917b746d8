"""A small store and manifest for localisation: stretches of rows lie around their class's text, the rest elsewhere."""

from pathlib import Path

import numpy as np
from class_world import CLASSES, text_features
from order_world import tiny_fingerprint

from featx.manifest.videos import Header, Manifest, Segment, Video, write_manifest
from featx.store.schema import VideoFacts, VideoFeatures
from featx.store.writing.writer import StoreWriter

ROWS_A_SECOND = 10
VIDEOS = {"train": 12, "test": 8}


def make_segment_world(folder: Path, name: str = "stretches", noise: float = 8.0, seed: int = 0) -> Manifest:
    """Videos of about 20 s with two to four segments of 2 to 4 s; background rows are noise around a text of their own."""
    rng = np.random.default_rng(seed)
    labels = list(CLASSES)
    *texts, empty = text_features([*(f"a video of a {text}" for text in CLASSES.values()), "nothing to see"])
    scale = np.linalg.norm(texts, axis=1).mean() / np.sqrt(len(empty))
    videos = []
    with StoreWriter(folder / "features", tiny_fingerprint(), model_source="tiny") as writer:
        for split, count in VIDEOS.items():
            for index in range(count):
                rows = int(rng.integers(180, 220))
                centres = np.repeat(empty[None], rows, axis=0)
                segments, time = [], 0.0
                while (time := time + rng.uniform(1, 3)) + 4 < rows / ROWS_A_SECOND and len(segments) < 4:
                    label = int(rng.integers(len(labels)))
                    end = time + rng.uniform(2, 4)
                    centres[int(np.ceil(time * ROWS_A_SECOND)) : int(np.ceil(end * ROWS_A_SECOND))] = texts[
                        label
                    ]
                    segments.append(Segment(start_s=round(time, 3), end_s=round(end, 3), label=labels[label]))
                    time = end
                frames = centres + noise * scale * rng.standard_normal(centres.shape)
                video_id = f"{split}-{index}.mp4"
                seconds = np.arange(rows) / ROWS_A_SECOND
                features = VideoFeatures(frames.astype(np.float16), seconds, np.arange(rows, dtype=np.int32))
                writer.add(video_id, features, VideoFacts(video_id, 1, 1, 64, 64, rows / ROWS_A_SECOND))
                duration_s = rows / ROWS_A_SECOND
                videos.append(
                    Video(id=video_id, path=video_id, split=split, segments=segments, duration_s=duration_s)
                )
    manifest = Manifest(Header(name=name, classes=CLASSES), videos, folder / "manifest.jsonl")
    write_manifest(manifest)
    return manifest
