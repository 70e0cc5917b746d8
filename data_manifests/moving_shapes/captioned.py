"""Moving shapes with captions: every video has several sentences, and every test sentence has its twin in the test.

A video shows one shape of one colour in one motion. Motions that are each other's twins get the same shapes and colours,
so that a test video's twin is in the test too, shows the same pictures in the opposite order, and is told apart by order
alone. No shape and colour of a test motion is shown with that motion in training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from featx.errors import FeatxError
from featx.manifest.videos import Header, Manifest, Video, write_manifest

from .encode import encode
from .generate import MANIFEST_FILE, QUALITY_RANGE, VIDEO_FOLDER, make_set
from .world import (
    COLOURS,
    MOTIONS,
    SHAPES,
    TWINS,
    Actor,
    caption,
    draw_actor,
    draw_stage,
)

MOST_TEST_VIDEOS = 16  # of the 64 shapes in colours of each motion; the others are for training
BASE_MOTION = {twin: motion for motion, twin in TWINS.items()}


@dataclass(frozen=True)
class CaptionedShape:
    """One video to make; everything random about it follows from ``seed``."""

    path: str
    split: str
    shape: str
    colour: str
    motion: str
    seed: tuple[int, ...]

    @property
    def captions(self) -> list[str]:
        """What is said of it; the shape's path and size do not matter."""
        return sentences(self.shape, self.colour, self.motion)


def sentences(shape: str, colour: str, motion: str) -> list[str]:
    """Returns three sentences that say the same: what, in which colour, does what."""
    actor = draw_actor(np.random.default_rng(0), shape, motion, 0.0, 1.0, colour)
    return [said(actor) for said in (caption, _turned_round, _taken_apart)]


def _turned_round(actor: Actor) -> str:
    article = "an" if actor.motion[0] in "aeiou" else "a"
    return f"we see {article} {actor.motion} {actor.shape} which is {actor.colour}"


def _taken_apart(actor: Actor) -> str:
    return f"there is something {actor.colour}: the {actor.shape} is {actor.motion} in front of a background"


def plan_captioned(seed: int, videos_per_motion: dict[str, int]) -> list[CaptionedShape]:
    """Lists the videos of a data set; a larger one holds the smaller ones.

    Args:
        seed: Seed of the whole set.
        videos_per_motion: Split name to videos of each of the 12 motions.

    Raises:
        FeatxError: If there are more test videos than sentences.
    """
    if videos_per_motion.get("test", 0) > MOST_TEST_VIDEOS:
        raise FeatxError(
            f"--test {videos_per_motion['test']}: must be at most {MOST_TEST_VIDEOS} a motion: each says something else"
        )
    looks = list(product(SHAPES, COLOURS))
    plan = []
    for number, motion in enumerate(MOTIONS):
        base = list(MOTIONS).index(BASE_MOTION.get(motion, motion))
        order = np.random.default_rng([seed, base]).permutation(len(looks))
        of_split = {"test": order[:MOST_TEST_VIDEOS], "train": order[MOST_TEST_VIDEOS:]}
        for split, count in videos_per_motion.items():
            for index in range(count):
                shape, colour = looks[of_split[split][index % len(of_split[split])]]
                path = f"{motion.replace(' ', '-')}/{split}-{index:03d}.mp4"
                own_seed = (seed, *split.encode(), number, index)
                plan.append(CaptionedShape(path, split, shape, colour, motion, own_seed))
    return plan


def make_captioned(video: CaptionedShape, folder: Path) -> str:
    """Draws, renders and encodes one video; returns its path within the folder."""
    rng = np.random.default_rng(video.seed)
    duration_s = float(rng.uniform(1.4, 2.0))
    actor = draw_actor(rng, video.shape, video.motion, 0.0, duration_s, video.colour)
    scene = draw_stage(rng, (actor,), duration_s)
    encode(scene, folder / video.path, quality=int(rng.integers(*QUALITY_RANGE)))
    return video.path


def generate_captioned(to: Path, seed: int, videos_per_motion: dict[str, int], workers: int) -> Iterator[str]:
    """Makes the data set, video by video, and its manifest at the very end.

    Args:
        to: Folder for ``videos/`` and ``manifest.jsonl``.
        seed: Seed of the whole set.
        videos_per_motion: Split name to videos of each motion.
        workers: Processes.

    Yields:
        The path of each finished video.

    Raises:
        FeatxError: If the folder holds a finished data set, or cannot be written, or the test is too large.
    """
    plan = plan_captioned(seed, videos_per_motion)
    yield from make_set(to, plan, make_captioned, workers)
    videos = [Video(id=v.path, path=v.path, split=v.split, captions=v.captions) for v in plan]
    header = Header(name="moving-shapes-captions", root=VIDEO_FOLDER)
    write_manifest(Manifest(header, videos, to / MANIFEST_FILE))
