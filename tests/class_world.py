"""A small store and manifest whose classes CLIP knows by name: features lie around their texts'."""

from pathlib import Path

import numpy as np
import torch
from order_world import tiny_fingerprint

from featx.clip.load import load_clip
from featx.clip.text import TextTower, plan_texts
from featx.manifest.episodes import Episode, Episodes, EpisodesHeader, write_episodes
from featx.manifest.videos import Header, Manifest, Video, write_manifest
from featx.store.schema import VideoFacts, VideoFeatures
from featx.store.writing.writer import StoreWriter

CLASSES = {
    f"{colour}-{shape}": f"{colour} {shape}"
    for colour in ("red", "green", "blue")
    for shape in ("star", "circle")
}
PER_CLASS = {"train": 8, "test": 10}
FRAMES_A_SECOND = 25


def text_features(texts: list[str]) -> np.ndarray:
    tower = TextTower(load_clip("tiny").model)
    with torch.no_grad():
        return tower.encode(plan_texts(texts)).numpy()


def make_class_world(folder: Path, name: str = "shapes", noise: float = 2.6, seed: int = 0) -> Manifest:
    """Each video wanders around its class's text, `noise` away; some of the noise is the video's own."""
    rng = np.random.default_rng(seed)
    texts = text_features([f"a video of a {text}" for text in CLASSES.values()])
    scale = np.linalg.norm(texts, axis=1).mean() / np.sqrt(texts.shape[1])
    videos = []
    with StoreWriter(folder / "features", tiny_fingerprint(), model_source="tiny") as writer:
        for split, count in PER_CLASS.items():
            for text, label in zip(texts, CLASSES, strict=True):
                for index in range(count):
                    rows = int(rng.integers(20, 70))
                    own = rng.standard_normal(texts.shape[1])
                    frames = text + noise * scale * (own + rng.standard_normal((rows, texts.shape[1])))
                    video_id = f"{label}/{split}-{index}.mp4"
                    seconds = np.arange(rows) / FRAMES_A_SECOND
                    writer.add(
                        video_id,
                        VideoFeatures(frames.astype(np.float16), seconds, np.arange(rows, dtype=np.int32)),
                        VideoFacts(video_id, 1, 1, 64, 64, rows / FRAMES_A_SECOND),
                    )
                    videos.append(Video(id=video_id, path=video_id, split=split, label=label))
    manifest = Manifest(Header(name=name, classes=CLASSES), videos, folder / "manifest.jsonl")
    write_manifest(manifest)
    return manifest


def make_episodes(manifest: Manifest, file: Path, count: int, ways: int, shots: int) -> list[Episode]:
    rng = np.random.default_rng(1)
    episodes = []
    for number in range(count):
        chosen = set(rng.choice(manifest.labels, ways, replace=False))
        classes = [label for label in manifest.labels if label in chosen]
        train, test = [], []
        for label in classes:
            ids = rng.permutation([video.id for video in manifest.videos if video.label == label]).tolist()
            train += ids[:shots]
            test += ids[shots:]
        episodes.append(Episode(name=f"split_{number}", classes=classes, train=train, test=test))
    write_episodes(Episodes(EpisodesHeader(name=manifest.header.name), episodes), file)
    return episodes
