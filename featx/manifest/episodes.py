"""Few-shot episodes and open-set class splits: what is learned from and what is tested on, as lists.

Both are JSON Lines files that belong to a manifest: line 1 is the header, every further line one episode or one
class split::

    {"featx_episodes": 1, "name": "hmdb51", "source": "drawn: 5 ways, 5 shots, seed 0"}
    {"name": "split_0", "classes": ["kick", "pour"], "train": ["kick/a.avi", "pour/b.avi"], "test": ["kick/c.avi"]}

    {"featx_class_splits": 1, "name": "kinetics700", "source": "lists/train.list, lists/test.list"}
    {"name": "split_0", "seen": ["abseiling"], "unseen": ["yoga"]}

``docs/episodes.md`` has every field.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from featx.errors import nearest
from featx.files.json_lines import Problem, raise_first, scan_lines, write_lines
from featx.manifest.videos import Manifest

SCHEMA_VERSION = 1
PAGE = "docs/episodes.md"
TRAIN, TEST = "train", "test"


class Episode(BaseModel):
    """One few-shot problem: learn the classes from ``train``, name the videos of ``test``; both are video ids."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    classes: list[str] = Field(min_length=1)
    train: list[str] = Field(min_length=1)
    test: list[str] = Field(min_length=1)


class ClassSplit(BaseModel):
    """Classes that are learned and classes that are met at the test only."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    seen: list[str] = Field(min_length=1)
    unseen: list[str] = Field(min_length=1)


class EpisodesHeader(BaseModel):
    """Line 1 of an episodes file: the manifest's name, where the episodes come from, and the file's digest."""

    model_config = ConfigDict(extra="forbid")

    featx_episodes: int = SCHEMA_VERSION
    name: str
    source: str = ""
    sha256: str | None = None


class ClassSplitsHeader(BaseModel):
    """Line 1 of a class-splits file: the manifest's name, where the splits come from, and the file's digest."""

    model_config = ConfigDict(extra="forbid")

    featx_class_splits: int = SCHEMA_VERSION
    name: str
    source: str = ""
    sha256: str | None = None


AnyHeader = TypeVar("AnyHeader", EpisodesHeader, ClassSplitsHeader)
Named = TypeVar("Named", Episode, ClassSplit)


@dataclass(frozen=True)
class Episodes:
    """All episodes of a file."""

    header: EpisodesHeader
    episodes: list[Episode]


@dataclass(frozen=True)
class ClassSplits:
    """All class splits of a file."""

    header: ClassSplitsHeader
    splits: list[ClassSplit]


def read_episodes(file: Path, manifest: Manifest) -> Episodes:
    """Reads episodes and checks them against the manifest that they are about.

    Raises:
        FeatxError: With file and line, for a class or video that the manifest lacks, a video of another class, a
            class without a training video, or one video in both lists.
    """
    header, rows = _read(file, manifest, EpisodesHeader, Episode, "episodes", episode_problems)
    return Episodes(header, rows)


def write_episodes(episodes: Episodes, file: Path) -> None:
    """Writes an episodes file, whole or not at all."""
    write_lines(file, episodes.header.model_dump(), episodes.episodes, digest=True)


def read_class_splits(file: Path, manifest: Manifest) -> ClassSplits:
    """Reads class splits and checks them against the manifest that they are about.

    Raises:
        FeatxError: With file and line, for a class that the manifest lacks or that is seen and unseen.
    """
    header, rows = _read(file, manifest, ClassSplitsHeader, ClassSplit, "class splits", class_split_problems)
    return ClassSplits(header, rows)


def write_class_splits(splits: ClassSplits, file: Path) -> None:
    """Writes a class-splits file, whole or not at all."""
    write_lines(file, splits.header.model_dump(), splits.splits, digest=True)


def episode_manifest(manifest: Manifest, episode: Episode) -> Manifest:
    """Returns an episode as a manifest with the splits ``train`` and ``test`` and the episode's classes alone.

    Whatever learns from or scores a manifest so learns from or scores an episode.
    """
    wanted = set(episode.classes)
    classes = {label: text for label, text in manifest.header.classes.items() if label in wanted}
    videos = [
        manifest.by_id[video_id].model_copy(update={"split": split})
        for split, ids in ((TRAIN, episode.train), (TEST, episode.test))
        for video_id in ids
    ]
    return Manifest(manifest.header.model_copy(update={"classes": classes}), videos, manifest.file)


def ways_and_shots(episodes: list[Episode], manifest: Manifest) -> tuple[int | None, int | None]:
    """Returns how many classes an episode has (0: all of the manifest) and how many training videos a class.

    Either is None if it differs between episodes or classes.
    """
    ways = {0 if len(one.classes) == len(manifest.labels) else len(one.classes) for one in episodes}
    shots = {
        count
        for one in episodes
        for count in Counter(manifest.by_id[video_id].label for video_id in one.train).values()
    }
    return (ways.pop() if len(ways) == 1 else None), (shots.pop() if len(shots) == 1 else None)


def episode_problems(episode: Episode, manifest: Manifest) -> list[str]:
    """Says everything that is wrong with an episode, as lines for its reader."""
    problems = _class_problems(episode.name, episode.classes, manifest)
    classes = set(episode.classes)
    by_label: dict[str | None, list[str]] = {}
    for split, ids in ((TRAIN, episode.train), (TEST, episode.test)):
        for video_id in ids:
            video = manifest.by_id.get(video_id)
            if video is None:
                if not by_label:
                    for one in manifest.videos:
                        by_label.setdefault(one.label, []).append(one.id)
                known = [one for label in episode.classes for one in by_label.get(label, [])]
                problems.append(
                    f"{episode.name}: {split} video '{video_id}' is not in {manifest.file}{nearest(video_id, known)}"
                )
            elif video.label not in classes:
                problems.append(
                    f"{episode.name}: {split} video '{video_id}' shows '{video.label}', which is not one of the classes"
                )
    twice = [video_id for video_id, count in Counter(episode.train + episode.test).items() if count > 1]
    problems += [f"{episode.name}: video '{video_id}' stands there more than once" for video_id in twice]
    shown = {manifest.by_id[one].label for one in episode.train if one in manifest.by_id}
    problems += [
        f"{episode.name}: class '{label}' has no training video"
        for label in episode.classes
        if label not in shown
    ]
    return problems


def class_split_problems(split: ClassSplit, manifest: Manifest) -> list[str]:
    """Says everything that is wrong with a class split, as lines for its reader."""
    problems = _class_problems(split.name, [*split.seen, *split.unseen], manifest)
    both = sorted(set(split.seen) & set(split.unseen))
    return problems + [f"{split.name}: class '{label}' is both seen and unseen" for label in both]


def _read(
    file: Path,
    manifest: Manifest,
    header: type[AnyHeader],
    row: type[Named],
    what: str,
    problems_of: Callable[[Named, Manifest], list[str]],
) -> tuple[AnyHeader, list[Named]]:
    lines = scan_lines(file, header, row, SCHEMA_VERSION, f"list of {what}", PAGE)
    problems = list(lines.problems)
    for line, one in lines.rows:
        problems += [Problem(line, message) for message in problems_of(one, manifest)]
    problems += _name_problems([(line, one.name) for line, one in lines.rows])
    if lines.header and not lines.rows and not problems:
        problems.append(Problem(0, f"a header but no {what}"))
    raise_first(file, problems)
    assert lines.header is not None
    return lines.header, [one for _, one in lines.rows]


def _class_problems(name: str, labels: list[str], manifest: Manifest) -> list[str]:
    known = manifest.header.classes
    return [
        f"{name}: class '{label}' is not in {manifest.file}{nearest(label, known)}"
        for label in labels
        if label not in known
    ]


def _name_problems(names: list[tuple[int, str]]) -> list[Problem]:
    first_line: dict[str, int] = {}
    return [
        Problem(line, f"name '{name}' was used on line {first_line[name]} already")
        for line, name in names
        if first_line.setdefault(name, line) != line
    ]
