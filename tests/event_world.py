"""A small store and manifest of long videos: noise, and events of two classes that lift some features."""

from pathlib import Path

import numpy as np
from stores import fingerprint

from featx.manifest.videos import Header, Manifest, Segment, Span, Video, write_manifest
from featx.store.schema import VideoFacts, VideoFeatures
from featx.store.writing.writer import StoreWriter

WIDTH = 16
CLASSES = {"jump": "jumping", "wave": "waving"}
PER_SPLIT = {"train": 12, "test": 6}


def make_event_world(folder: Path) -> Manifest:
    """Frame rates vary from video to video and within; the last test video is not in the store."""
    rng = np.random.default_rng(0)
    usual = 2 * rng.standard_normal(WIDTH)  # features of one model have much in common
    lift = 3 * rng.standard_normal((2, WIDTH)) / np.sqrt(WIDTH)
    videos = []
    with StoreWriter(folder / "features", fingerprint(WIDTH)) as writer:
        for split, count in PER_SPLIT.items():
            for index in range(count):
                duration_s = float(rng.uniform(15, 40))
                gaps = rng.choice([0.08, 0.1, 0.16], int(duration_s / 0.08))
                pts = np.concatenate([[0.0], np.cumsum(gaps)])
                pts = pts[pts < duration_s]
                features = usual + 0.5 * rng.standard_normal((len(pts), WIDTH))
                segments, end_s = [], 0.0
                while True:
                    start_s = end_s + float(rng.uniform(1, 3))
                    end_s = start_s + float(rng.uniform(1, 6))
                    if end_s > duration_s:
                        break
                    which = int(rng.integers(2))
                    features[(pts >= start_s) & (pts < end_s)] += lift[which]
                    segments.append(Segment(start_s=start_s, end_s=end_s, label=list(CLASSES)[which]))
                video_id = f"{split}/{index}.mp4"
                ambiguous = [Span(start_s=0.0, end_s=0.5)] if index == 1 else []
                about = {"id": video_id, "path": video_id, "split": split, "duration_s": duration_s}
                videos.append(Video(**about, segments=segments, ambiguous=ambiguous))
                if (split, index) != ("test", PER_SPLIT["test"] - 1):
                    rows = VideoFeatures(
                        features.astype(np.float16), pts, np.arange(len(pts), dtype=np.int32)
                    )
                    writer.add(video_id, rows, VideoFacts(video_id, 1, 1, 64, 64, duration_s))
    manifest = Manifest(Header(name="events", classes=CLASSES), videos, folder / "manifest.jsonl")
    write_manifest(manifest)
    return manifest
