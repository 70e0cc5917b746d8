"""Small generated data sets, each a store of features and its manifest: named by what has to be learned from them."""

from pathlib import Path

import numpy as np
import torch
from stores import fingerprint

from featx.encoders.load import load_model
from featx.encoders.text import TextTower
from featx.manifest.episodes import Episode, Episodes, EpisodesHeader, write_episodes
from featx.manifest.videos import Header, Manifest, Segment, Span, Video, write_manifest
from featx.store.schema import Fingerprint, VideoFeatures, VideoInfo
from featx.store.writing.writer import StoreWriter

# order: A small store and manifest of two classes that only the order of frames parts.
ORDER_CLASSES = {"growing": "star growing", "shrinking": "star shrinking"}
ORDER_PER_CLASS = {"train": 24, "test": 20}


def tiny_fingerprint(**changes: str) -> Fingerprint:
    tiny = load_model("tiny")
    shape = {"input_size": tiny.input_size, "width": tiny.width}
    return Fingerprint(model=tiny.name, weights_sha256=tiny.weights_sha256, **shape, **changes)


def make_order_data(folder: Path, fingerprint: Fingerprint) -> None:
    """A class goes from one point to another, its twin back again; video lengths and noise vary."""
    rng = np.random.default_rng(0)
    ends = rng.standard_normal((2, fingerprint.width))
    videos = []
    with StoreWriter(folder / "features", fingerprint, model_source="tiny") as writer:
        for split, count in ORDER_PER_CLASS.items():
            for label in ORDER_CLASSES:
                first, last = ends if label == "growing" else ends[::-1]
                for index in range(count):
                    rows = int(rng.integers(10, 60))
                    part = np.linspace(0, 1, rows)[:, None]
                    noise = 0.3 * rng.standard_normal((rows, fingerprint.width))
                    features = (first + part * (last - first) + noise).astype(np.float16)
                    video_id = f"{label}/{split}-{index}.mp4"
                    row = VideoFeatures(features, np.arange(rows) / 25, np.arange(rows, dtype=np.int32))
                    writer.add(video_id, row, VideoInfo(video_id, 1, 1, 64, 64, rows / 25))
                    videos.append(Video(id=video_id, path=video_id, split=split, label=label))
    header = Header(name="order", classes=ORDER_CLASSES)
    write_manifest(Manifest(header, videos, folder / "manifest.jsonl"))


# class: A small store and manifest whose classes CLIP knows by name: features lie around their texts'.
CLASSES = {
    f"{colour}-{shape}": f"{colour} {shape}"
    for colour in ("red", "green", "blue")
    for shape in ("star", "circle")
}
PER_CLASS = {"train": 8, "test": 10}
FRAMES_A_SECOND = 25


def text_features(texts: list[str]) -> np.ndarray:
    tower = TextTower(load_model("tiny").model)
    with torch.no_grad():
        return tower.encode(tower.plan(texts)).numpy()


def make_class_data(folder: Path, name: str = "shapes", noise: float = 2.6, seed: int = 0) -> Manifest:
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
                        VideoInfo(video_id, 1, 1, 64, 64, rows / FRAMES_A_SECOND),
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


# event: A small store and manifest of long videos: noise, and events of two classes that lift some features.
EVENT_WIDTH = 16
EVENT_CLASSES = {"jump": "jumping", "wave": "waving"}
EVENTS_PER_SPLIT = {"train": 12, "test": 6}


def make_event_data(folder: Path) -> Manifest:
    """Frame rates vary from video to video and within; the last test video is not in the store."""
    rng = np.random.default_rng(0)
    usual = 2 * rng.standard_normal(EVENT_WIDTH)  # features of one model have much in common
    lift = 3 * rng.standard_normal((2, EVENT_WIDTH)) / np.sqrt(EVENT_WIDTH)
    videos = []
    with StoreWriter(folder / "features", fingerprint(EVENT_WIDTH)) as writer:
        for split, count in EVENTS_PER_SPLIT.items():
            for index in range(count):
                duration_s = float(rng.uniform(15, 40))
                gaps = rng.choice([0.08, 0.1, 0.16], int(duration_s / 0.08))
                pts = np.concatenate([[0.0], np.cumsum(gaps)])
                pts = pts[pts < duration_s]
                features = usual + 0.5 * rng.standard_normal((len(pts), EVENT_WIDTH))
                segments, end_s = [], 0.0
                while True:
                    start_s = end_s + float(rng.uniform(1, 3))
                    end_s = start_s + float(rng.uniform(1, 6))
                    if end_s > duration_s:
                        break
                    which = int(rng.integers(2))
                    features[(pts >= start_s) & (pts < end_s)] += lift[which]
                    segments.append(Segment(start_s=start_s, end_s=end_s, label=list(EVENT_CLASSES)[which]))
                video_id = f"{split}/{index}.mp4"
                ambiguous = [Span(start_s=0.0, end_s=0.5)] if index == 1 else []
                about = {"id": video_id, "path": video_id, "split": split, "duration_s": duration_s}
                videos.append(Video(**about, segments=segments, ambiguous=ambiguous))
                if (split, index) != ("test", EVENTS_PER_SPLIT["test"] - 1):
                    rows = VideoFeatures(
                        features.astype(np.float16), pts, np.arange(len(pts), dtype=np.int32)
                    )
                    writer.add(video_id, rows, VideoInfo(video_id, 1, 1, 64, 64, duration_s))
    manifest = Manifest(Header(name="events", classes=EVENT_CLASSES), videos, folder / "manifest.jsonl")
    write_manifest(manifest)
    return manifest


# segment: A small store and manifest for localisation: stretches of rows lie around their class's text, the rest elsewhere.
ROWS_A_SECOND = 10
SEGMENTED_VIDEOS = {"train": 12, "test": 8}


def make_segment_data(folder: Path, name: str = "stretches", noise: float = 8.0, seed: int = 0) -> Manifest:
    """Videos of about 20 s with two to four segments of 2 to 4 s; background rows are noise around a text of their own."""
    rng = np.random.default_rng(seed)
    labels = list(CLASSES)
    *texts, empty = text_features([*(f"a video of a {text}" for text in CLASSES.values()), "nothing to see"])
    scale = np.linalg.norm(texts, axis=1).mean() / np.sqrt(len(empty))
    videos = []
    with StoreWriter(folder / "features", tiny_fingerprint(), model_source="tiny") as writer:
        for split, count in SEGMENTED_VIDEOS.items():
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
                writer.add(video_id, features, VideoInfo(video_id, 1, 1, 64, 64, rows / ROWS_A_SECOND))
                duration_s = rows / ROWS_A_SECOND
                videos.append(
                    Video(id=video_id, path=video_id, split=split, segments=segments, duration_s=duration_s)
                )
    manifest = Manifest(Header(name=name, classes=CLASSES), videos, folder / "manifest.jsonl")
    write_manifest(manifest)
    return manifest


# caption: A small store and manifest of captioned videos: features lie around those of a sentence, in a turned space. The turn has to be learned: zero-shot CLIP finds little, an adapter much. Videos have one to four captions, some sentences are said of several videos, and some captions are too long for CLIP.
SUBJECTS = [
    f"{colour} {shape}"
    for colour in ("red", "green", "blue", "yellow", "pink", "orange")
    for shape in ("star", "circle", "heart", "ring", "square")
]
SIDES = ("left", "centre", "right")
CAPTIONED_TRAIN, CAPTIONED_TEST = 60, 24
FORMS = ("a {} at the {}", "the {} is at the {}", "there is a {} to see, at the {}")
LONG = "which goes on and on and on " * 12


def caption(form: int, subject: str, side: str) -> str:
    return FORMS[form].format(subject, side)


def make_caption_data(folder: Path, seed: int = 0) -> Manifest:
    rng = np.random.default_rng(seed)
    shown = [(subject, side) for subject in SUBJECTS for side in SIDES]
    order = rng.permutation(len(shown))
    about = [shown[order[index % len(order)]] for index in range(CAPTIONED_TRAIN)] + [
        shown[index] for index in order[-CAPTIONED_TEST:]
    ]
    texts = text_features([caption(0, *one) for one in about])
    texts = texts - texts.mean(axis=0)
    turn = np.linalg.qr(rng.standard_normal((texts.shape[1],) * 2))[0]
    mixed = 0.3 * texts + texts @ turn
    videos = []
    with StoreWriter(folder / "features", tiny_fingerprint(), model_source="tiny") as writer:
        for index, (subject, side) in enumerate(about):
            split = "train" if index < CAPTIONED_TRAIN else "test"
            rows = int(rng.integers(20, 70))
            noise = 0.5 * texts.std() * rng.standard_normal((rows, texts.shape[1]))
            video_id = f"{split}/{index}.mp4"
            features = VideoFeatures(
                (mixed[index] + noise).astype(np.float16),
                np.arange(rows) / FRAMES_A_SECOND,
                np.arange(rows, dtype=np.int32),
            )
            writer.add(video_id, features, VideoInfo(video_id, 1, 1, 64, 64, rows / FRAMES_A_SECOND))
            captions = [caption(form, subject, side) for form in range(1 + index % 3)]
            if index % 10 == 0:
                captions.append(f"{captions[0]} {LONG}")
            if index % 4 == 1:
                captions.append(f"a {subject}")  # of several videos, at different sides
            videos.append(Video(id=video_id, path=video_id, split=split, captions=captions))
    manifest = Manifest(Header(name="captions"), videos, folder / "manifest.jsonl")
    write_manifest(manifest)
    return manifest
