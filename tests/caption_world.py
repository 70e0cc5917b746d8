"""A small store and manifest of captioned videos: features lie around those of a sentence, in a turned space.

The turn has to be learned: zero-shot CLIP finds little, an adapter much. Videos have one to four captions, some sentences
are said of several videos, and some captions are too long for CLIP.
"""

from pathlib import Path

import numpy as np
from class_world import FRAMES_A_SECOND, text_features
from order_world import tiny_fingerprint

from featx.manifest.videos import Header, Manifest, Video, write_manifest
from featx.store.schema import VideoFacts, VideoFeatures
from featx.store.writing.writer import StoreWriter

SUBJECTS = [
    f"{colour} {shape}"
    for colour in ("red", "green", "blue", "yellow", "pink", "orange")
    for shape in ("star", "circle", "heart", "ring", "square")
]
SIDES = ("left", "centre", "right")
TRAIN, TEST = 60, 24
FORMS = ("a {} at the {}", "the {} is at the {}", "there is a {} to see, at the {}")
LONG = "which goes on and on and on " * 12


def caption(form: int, subject: str, side: str) -> str:
    return FORMS[form].format(subject, side)


def make_caption_world(folder: Path, seed: int = 0) -> Manifest:
    rng = np.random.default_rng(seed)
    shown = [(subject, side) for subject in SUBJECTS for side in SIDES]
    order = rng.permutation(len(shown))
    about = [shown[order[index % len(order)]] for index in range(TRAIN)] + [
        shown[index] for index in order[-TEST:]
    ]
    texts = text_features([caption(0, *one) for one in about])
    texts = texts - texts.mean(axis=0)
    turn = np.linalg.qr(rng.standard_normal((texts.shape[1],) * 2))[0]
    mixed = 0.3 * texts + texts @ turn
    videos = []
    with StoreWriter(folder / "features", tiny_fingerprint(), model_source="tiny") as writer:
        for index, (subject, side) in enumerate(about):
            split = "train" if index < TRAIN else "test"
            rows = int(rng.integers(20, 70))
            noise = 0.5 * texts.std() * rng.standard_normal((rows, texts.shape[1]))
            video_id = f"{split}/{index}.mp4"
            features = VideoFeatures(
                (mixed[index] + noise).astype(np.float16),
                np.arange(rows) / FRAMES_A_SECOND,
                np.arange(rows, dtype=np.int32),
            )
            writer.add(video_id, features, VideoFacts(video_id, 1, 1, 64, 64, rows / FRAMES_A_SECOND))
            captions = [caption(form, subject, side) for form in range(1 + index % 3)]
            if index % 10 == 0:
                captions.append(f"{captions[0]} {LONG}")
            if index % 4 == 1:
                captions.append(f"a {subject}")  # of several videos, at different sides
            videos.append(Video(id=video_id, path=video_id, split=split, captions=captions))
    manifest = Manifest(Header(name="captions"), videos, folder / "manifest.jsonl")
    write_manifest(manifest)
    return manifest
