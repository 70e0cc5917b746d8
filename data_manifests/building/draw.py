"""Drawing with a seed: train and test videos, few-shot episodes, seen and unseen classes.

Each draw has a generator of its own, made from the seed and what is drawn: more episodes, or another class, leave the
others as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from featx.errors import FeatxError
from featx.manifest.episodes import ClassSplit, Episode
from featx.manifest.videos import Manifest


@dataclass(frozen=True)
class SplitDraw:
    """How test videos are drawn where nobody says which they are: a fraction of each class, with a seed."""

    fraction: float = 0.2
    seed: int = 0


def draw_test_videos(paths: Sequence[str], label: str, draw: SplitDraw) -> set[str]:
    """Draws the test videos of a class: at least one, and one left to learn from, where there are two or more."""
    if len(paths) < 2:
        return set()
    count = min(max(round(len(paths) * draw.fraction), 1), len(paths) - 1)
    rng = np.random.default_rng([draw.seed, *label.encode()])
    return {paths[index] for index in rng.choice(len(paths), count, replace=False)}


def ids_by_label(manifest: Manifest, splits: Sequence[str]) -> dict[str, list[str]]:
    """Returns the ids of the labelled videos of some splits, by class, in class order.

    Raises:
        FeatxError: If the manifest has no such split.
    """
    for split in splits:
        manifest.split(split)
    by_label: dict[str, list[str]] = {label: [] for label in manifest.labels}
    for video in manifest.videos:
        if video.split in splits and video.label is not None:
            by_label[video.label].append(video.id)
    return by_label


@dataclass(frozen=True)
class EpisodeDraw:
    """What few-shot episodes are drawn as.

    Attributes:
        ways: Classes of an episode; None for all classes.
        shots: K, training videos of a class.
        pool: Splits that training videos are drawn from.
        test_split: Split whose videos of the episode's classes are tested; None for all that is left of the pool.
        seed: Seed.
    """

    ways: int | None
    shots: int
    pool: Sequence[str]
    test_split: str | None
    seed: int = 0


def draw_episodes(manifest: Manifest, draw: EpisodeDraw, count: int) -> list[Episode]:
    """Draws ``count`` few-shot episodes.

    Raises:
        FeatxError: If classes or videos do not suffice.
    """
    ways, shots, pool, test_split = draw.ways, draw.shots, draw.pool, draw.test_split
    by_label = ids_by_label(manifest, pool)
    test_by_label = by_label if test_split is None else ids_by_label(manifest, [test_split])
    spare = 1 if test_split is None else 0
    eligible = [
        label for label, ids in by_label.items() if len(ids) >= shots + spare and test_by_label[label]
    ]
    short = [label for label in by_label if label not in eligible]
    if ways is None and short:
        raise FeatxError(
            f"{manifest.file}: {len(short)} classes have too few videos in {', '.join(pool)} for {shots} shots, "
            f"'{short[0]}' first; lower --shots"
        )
    if ways is not None and len(eligible) < ways:
        raise FeatxError(
            f"{manifest.file}: {len(eligible)} classes have enough videos in {', '.join(pool)} for {shots} shots; "
            f"lower --ways {ways} or --shots"
        )
    episodes = []
    for number in range(count):
        rng = np.random.default_rng([draw.seed, number])
        chosen = eligible
        if ways is not None:
            chosen = [eligible[index] for index in np.sort(rng.choice(len(eligible), ways, replace=False))]
        train = [
            by_label[label][index]
            for label in chosen
            for index in rng.choice(len(by_label[label]), shots, replace=False)
        ]
        taken = set(train)
        test = [video_id for label in chosen for video_id in test_by_label[label] if video_id not in taken]
        if not test:
            raise FeatxError(f"{manifest.file}: no video is left to test on; lower --shots {shots}")
        episodes.append(Episode(name=f"split_{number}", classes=chosen, train=train, test=test))
    return episodes


def draw_class_splits(labels: Sequence[str], seen: float, count: int, seed: int) -> list[ClassSplit]:
    """Draws seen and unseen classes; both stay in class order.

    Args:
        labels: All classes.
        seen: Fraction of them that is seen; at least one class is in either part.
        count: Number of class splits.
        seed: Seed.

    Raises:
        FeatxError: If there are not two classes, or the fraction is not between 0 and 1.
    """
    if len(labels) < 2 or not 0 < seen < 1:
        raise FeatxError(
            f"--seen {seen}: must be between 0 and 1, and there must be two classes; there are {len(labels)}"
        )
    seen_count = min(max(round(len(labels) * seen), 1), len(labels) - 1)
    splits = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        chosen = set(rng.choice(len(labels), seen_count, replace=False).tolist())
        parts: tuple[list[str], list[str]] = ([], [])
        for index, label in enumerate(labels):
            parts[index not in chosen].append(label)
        splits.append(ClassSplit(name=f"split_{number}", seen=parts[0], unseen=parts[1]))
    return splits
