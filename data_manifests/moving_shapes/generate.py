"""Makes the moving-shapes data set: mp4 files in class folders, and a recognition manifest; the pool for its other sets.

Of the 16 classes each has a twin that shows the same pictures in the opposite order, so a model that ignores
the order of frames gets at most every second video right.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from featx.errors import FeatxError
from featx.manifest.videos import Header, Manifest, Video, write_manifest

from .encode import encode
from .world import draw_clip

CLASS_SHAPES = ("circle", "square", "triangle", "star")
CLASS_MOTIONS = ("moving right", "moving left", "growing", "shrinking")
MANIFEST_FILE = "manifest.jsonl"
VIDEO_FOLDER = "videos"
QUALITY_RANGE = (18, 33)


class HasPath(Protocol):
    """A video to make, below a folder."""

    @property
    def path(self) -> str:
        """Its path there."""
        ...


Planned = TypeVar("Planned", bound=HasPath)


@dataclass(frozen=True)
class ShapeVideo:
    """One video to make; everything random about it follows from ``seed``."""

    path: str
    split: str
    shape: str
    motion: str
    seed: tuple[int, ...]

    @property
    def label(self) -> str:
        """The class label, which is also the folder's name."""
        return label_of(self.shape, self.motion)


def label_of(shape: str, motion: str) -> str:
    """Returns the label of a class, e.g. ``circle-moving-right``."""
    return f"{shape} {motion}".replace(" ", "-")


def class_texts() -> dict[str, str]:
    """Returns label and text of every class, in class order."""
    return {
        label_of(shape, motion): f"{shape} {motion}" for shape in CLASS_SHAPES for motion in CLASS_MOTIONS
    }


def plan_videos(seed: int, videos_per_class: dict[str, int]) -> list[ShapeVideo]:
    """Lists the videos of a data set.

    A video depends on the seed, its split, class and number only: a larger data set holds the smaller ones.

    Args:
        seed: Seed of the whole set.
        videos_per_class: Split name to videos of each class.
    """
    return [
        ShapeVideo(
            f"{label_of(shape, motion)}/{split}-{number:03d}.mp4",
            split,
            shape,
            motion,
            (seed, *split.encode(), class_number, number),
        )
        for split, count in videos_per_class.items()
        for class_number, (shape, motion) in enumerate((s, m) for s in CLASS_SHAPES for m in CLASS_MOTIONS)
        for number in range(count)
    ]


def make_video(video: ShapeVideo, folder: Path) -> str:
    """Draws, renders and encodes one video; returns its path within the folder."""
    rng = np.random.default_rng(video.seed)
    scene = draw_clip(rng, video.shape, video.motion)
    encode(scene, folder / video.path, quality=int(rng.integers(*QUALITY_RANGE)))
    return video.path


def generate(to: Path, seed: int, videos_per_class: dict[str, int], workers: int) -> Iterator[str]:
    """Makes the data set for recognition, video by video, and its manifest at the very end.

    Args:
        to: Folder for ``videos/`` and ``manifest.jsonl``.
        seed: Seed of the whole set.
        videos_per_class: Split name to videos of each class.
        workers: Processes.

    Yields:
        The path of each finished video.

    Raises:
        FeatxError: If the folder holds a finished data set, or cannot be written.
    """
    plan = plan_videos(seed, videos_per_class)
    yield from make_set(to, plan, make_video, workers)
    write_set(
        to, "moving-shapes", [Video(id=v.path, path=v.path, split=v.split, label=v.label) for v in plan]
    )


def make_set(
    to: Path, plan: Sequence[Planned], make: Callable[[Planned, Path], str], workers: int
) -> Iterator[str]:
    """Makes the videos of any data set of this world.

    Args:
        to: Folder for ``videos/``.
        plan: What to make.
        make: Makes one of them below a folder, and returns its path there.
        workers: Processes.

    Yields:
        The path of each finished video.

    Raises:
        FeatxError: If the folder holds a finished data set, or cannot be written.
    """
    if (to / MANIFEST_FILE).exists():
        raise FeatxError(
            f"--to {to}: holds a data set already ({MANIFEST_FILE}); delete it or choose another"
        )
    folder = to / VIDEO_FOLDER
    try:
        for name in {Path(video.path).parent for video in plan}:
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FeatxError(f"--to {to}: cannot make the folder ({error.strerror})") from error
    # spawned, not forked: the caller may run threads (a progress bar does)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(make, plan, [folder] * len(plan), chunksize=4)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def write_set(to: Path, name: str, videos: list[Video]) -> None:
    """Writes the manifest of a data set whose videos are made."""
    header = Header(name=name, root=VIDEO_FOLDER, classes=class_texts())
    write_manifest(Manifest(header, videos, to / MANIFEST_FILE))
