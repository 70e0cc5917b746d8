"""Long videos for localisation: actions and distractors in turn, with bare background between them.

The actions are the 16 classes. Whoever looks for them must not take for one what only looks like it:
a distractor is a class's shape that rests, blinks or moves in a way that is no class, or another shape that moves like one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from featx.manifest.videos import Segment, Video

from .encode import encode
from .generate import (
    CLASS_MOTIONS,
    CLASS_SHAPES,
    QUALITY_RANGE,
    label_of,
    make_set,
    write_set,
)
from .world import (
    MOTIONS,
    SHAPES,
    Actor,
    Scene,
    draw_actor,
    draw_stage,
)

DURATION_S = (30.0, 120.0)
GAP_S = (1.0, 5.0)
ACTION_S = (1.5, 12.0)  # drawn evenly on a logarithmic scale: every length from short to long is met
DISTRACTOR_SHARE = 0.3
FRAMES_A_SECOND = (
    10,
    12,
    15,
)  # few, so that minutes of video stay cheap; several, so that times cannot be guessed
OTHER_SHAPES = tuple(shape for shape in SHAPES if shape not in CLASS_SHAPES)
OTHER_MOTIONS = tuple(motion for motion in MOTIONS if motion not in CLASS_MOTIONS)


@dataclass(frozen=True)
class LongVideo:
    """One video to make; everything random about it follows from ``seed``."""

    path: str
    split: str
    seed: tuple[int, ...]


def plan_long_videos(seed: int, videos: dict[str, int]) -> list[LongVideo]:
    """Lists the videos of a data set; a larger one holds the smaller ones.

    Args:
        seed: Seed of the whole set.
        videos: Split name to number of videos.
    """
    return [
        LongVideo(f"{split}/{number:03d}.mp4", split, (seed, *split.encode(), number))
        for split, count in videos.items()
        for number in range(count)
    ]


def draw_untrimmed(rng: np.random.Generator) -> Scene:
    """Draws a long video. The times of an actor for which `is_action` holds are the ground truth of its segment."""
    duration_s = float(rng.uniform(*DURATION_S))
    actors = []
    end_s = 0.0
    while True:
        start_s = end_s + float(rng.uniform(*GAP_S))
        end_s = start_s + float(np.exp(rng.uniform(*np.log(ACTION_S))))
        if end_s > duration_s:
            break
        actors.append(draw_actor(rng, *_draw_kind(rng), start_s, end_s))
    scene = draw_stage(rng, tuple(actors), duration_s)
    fps = int(rng.choice(FRAMES_A_SECOND))
    return replace(scene, fps=fps, duration_s=round(duration_s * fps) / fps)


def _draw_kind(rng: np.random.Generator) -> tuple[str, str]:
    """Returns shape and motion of an action, or of a distractor."""
    shape, motion = str(rng.choice(CLASS_SHAPES)), str(rng.choice(CLASS_MOTIONS))
    if rng.random() < DISTRACTOR_SHARE:
        if rng.random() < 0.5:
            shape = str(rng.choice(OTHER_SHAPES))
        else:
            motion = str(rng.choice(OTHER_MOTIONS))
    return shape, motion


def is_action(actor: Actor) -> bool:
    """Tells whether what an actor does is one of the classes."""
    return actor.shape in CLASS_SHAPES and actor.motion in CLASS_MOTIONS


def make_long_video(video: LongVideo, folder: Path) -> str:
    """Draws, renders and encodes one video; returns its path within the folder."""
    rng = np.random.default_rng(video.seed)
    scene = draw_untrimmed(rng)
    encode(scene, folder / video.path, quality=int(rng.integers(*QUALITY_RANGE)))
    return video.path


def generate_untrimmed(to: Path, seed: int, videos: dict[str, int], workers: int) -> Iterator[str]:
    """Makes the data set for localisation, video by video, and its manifest at the very end.

    Args:
        to: Folder for ``videos/`` and ``manifest.jsonl``.
        seed: Seed of the whole set.
        videos: Split name to number of videos.
        workers: Processes.

    Yields:
        The path of each finished video.

    Raises:
        FeatxError: If the folder holds a finished data set, or cannot be written.
    """
    plan = plan_long_videos(seed, videos)
    yield from make_set(to, plan, make_long_video, workers)
    write_set(to, "moving-shapes-untrimmed", [describe_long_video(video) for video in plan])


def describe_long_video(video: LongVideo) -> Video:
    """Returns a video's line of the manifest."""
    scene = draw_untrimmed(np.random.default_rng(video.seed))
    segments = [
        Segment(
            start_s=round(actor.start_s, 3),
            end_s=round(actor.end_s, 3),
            label=label_of(actor.shape, actor.motion),
        )
        for actor in scene.actors
        if is_action(actor)
    ]
    return Video(
        id=video.path,
        path=video.path,
        split=video.split,
        segments=segments,
        duration_s=round(scene.duration_s, 3),
    )
