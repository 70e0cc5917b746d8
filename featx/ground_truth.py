"""What is annotated in a split, as flat arrays: from a manifest or from a file of ActivityNet's form.

The metrics (featx.metrics.localisation and others) take these arrays; files name videos and classes, arrays number them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from featx.activitynet_json import read_database, split_name
from featx.errors import FeatxError
from featx.files import read_list
from featx.manifest import Manifest
from featx.metrics.intervals import Instances, Spans
from featx.video_files import without_ending


@dataclass(frozen=True)
class GroundTruth:
    """The annotated split that detections are scored on.

    Attributes:
        file: Manifest or JSON.
        data_set: Its name.
        split: The split.
        video_ids: V ids of its videos, whether or not they show anything.
        labels: Labels of all classes, in class order.
        instances: What is annotated, in the order of the file.
        ambiguous: Where annotators did not agree.
        spared: Name to reason: videos that are not scored although somebody may have looked at them.
        elsewhere: Name to split: videos of other splits.
    """

    file: Path
    data_set: str
    split: str
    video_ids: list[str]
    labels: list[str]
    instances: Instances
    ambiguous: Spans
    spared: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)


def manifest_truth(
    manifest: Manifest, split: str | None, blocked: Mapping[str, str] | None = None
) -> GroundTruth:
    """Returns a manifest's segments of one split.

    Args:
        manifest: The manifest; of part of its classes, if `Manifest.only` made it.
        split: The split; None for `default_split`.
        blocked: Name to reason of videos that are not to be scored.

    Raises:
        FeatxError: If the split has no video, or none with a segment.
    """
    split = split or default_split(
        {video.split for video in manifest.videos if video.segments}, manifest.file
    )
    finder = NameFinder(video.id for video in manifest.videos)
    spared = dict.fromkeys(manifest.header.excluded, f"excluded by rule {manifest.header.exclusion}")
    spared |= finder.known(blocked or {})
    videos = [video for video in manifest.split(split) if video.id not in spared]
    index = {label: number for number, label in enumerate(manifest.labels)}
    return _checked(
        GroundTruth(
            manifest.file,
            manifest.header.name,
            split,
            [video.id for video in videos],
            manifest.labels,
            _instances(
                (number, index[one.label], one.start_s, one.end_s)
                for number, video in enumerate(videos)
                for one in video.segments
            ),
            _spans(
                (number, one.start_s, one.end_s)
                for number, video in enumerate(videos)
                for one in video.ambiguous
            ),
            spared,
            {video.id: video.split for video in manifest.videos if video.split != split},
        )
    )


def default_split(shown: set[str], file: Path) -> str:
    """Returns the split that is scored if nobody says which: `test`, or `val` where nothing of test is annotated.

    Args:
        shown: Splits that have segments.
        file: What they are of.

    Raises:
        FeatxError: If it is neither, and not the only one.
    """
    if not shown:
        raise FeatxError(f"{file}: no video has segments")
    for split in ("test", "val"):
        if split in shown:
            return split
    if len(shown) > 1:
        raise FeatxError(f"--split: {file} has {', '.join(sorted(shown))}; give the one to score")
    return next(iter(shown))


def json_truth(file: Path, split: str | None, blocked: Mapping[str, str] | None = None) -> GroundTruth:
    """Returns the annotations of one split of a JSON file; its classes are the labels of all splits, as they occur.

    Args:
        file: ActivityNet's, or of that form.
        split: `val`, or as the file calls it (`validation`); None for `default_split`.
        blocked: Name to reason of videos that are not to be scored.

    Raises:
        FeatxError: If the file is not of that form, or the split has no instance.
    """
    database = read_database(file, "--ground-truth")
    index: dict[str, int] = {}
    for video in database.videos:
        for one in video.annotations:
            index.setdefault(one.label, len(index))
    split = (
        split_name(split)
        if split
        else default_split({video.split for video in database.videos if video.annotations}, file)
    )
    spared = NameFinder(video.id for video in database.videos).known(blocked or {})
    videos = [video for video in database.videos if video.split == split and video.id not in spared]
    if not videos:
        known = ", ".join(sorted({video.split for video in database.videos}))
        raise FeatxError(f"--split {split}: {file} has no video of it; it has {known}")
    return _checked(
        GroundTruth(
            file,
            data_set_of_version(database.version) or file.stem,
            split,
            [video.id for video in videos],
            list(index),
            _instances(
                (number, index[one.label], one.start_s, one.end_s)
                for number, video in enumerate(videos)
                for one in video.annotations
            ),
            _spans(()),
            spared,
            {video.id: video.split for video in database.videos if video.split != split},
        )
    )


def data_set_of_version(version: str) -> str:
    """Returns the data set that a JSON file's `version` names: ActivityNet's own is "VERSION 1.3"."""
    return "activitynet" if version.startswith("VERSION 1.") else ""


def _checked(truth: GroundTruth) -> GroundTruth:
    if not len(truth.instances):
        raise FeatxError(
            f"{truth.file}: split '{truth.split}' has {len(truth.video_ids)} videos to score, but no segment"
        )
    return truth


def _instances(rows: Iterable[tuple[int, int, float, float]]) -> Instances:
    videos, labels, start_s, end_s = _columns(rows, 4)
    return Instances(videos.astype(np.int64), start_s, end_s, labels.astype(np.int64))


def _spans(rows: Iterable[tuple[int, float, float]]) -> Spans:
    videos, start_s, end_s = _columns(rows, 3)
    return Spans(videos.astype(np.int64), start_s, end_s)


def _columns(rows: Iterable[tuple[float, ...]], width: int) -> np.ndarray:
    return np.array(list(rows), dtype=np.float64).reshape(-1, width).T


def read_blocked(file: Path) -> dict[str, str]:
    """Reads the videos that are not to be scored: one id a line, or a JSON list of ids.

    The official program asked a server, which is gone; so the list is a file of one's own.

    Raises:
        FeatxError: If the file cannot be read or is neither.
    """
    flag = "--blocked-videos"
    if file.suffix != ".json":
        return dict.fromkeys(read_list(file, flag, "video").values(), "blocked")
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FeatxError(f"{flag} {file}: cannot read it as JSON ({error})") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FeatxError(f"{flag} {file}: must be a JSON list of video ids")
    return dict.fromkeys(names, "blocked")


class NameFinder:
    """Finds the id that a name in somebody's file means: the id itself, without folder and ending, without one `v_`."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = list(ids)
        self._by_name: dict[str, str | None] = {}
        for forms in zip(*map(_forms, self._ids), strict=True):
            # an exact name goes before a shorter one; a name that two ids share means neither
            level: dict[str, str | None] = {}
            for name, video_id in zip(forms, self._ids, strict=True):
                level[name] = video_id if level.get(name, video_id) == video_id else None
            self._by_name = level | self._by_name

    def find(self, name: str) -> str | None:
        """Returns the id, or None if there is no such video or more than one."""
        for form in _forms(name):
            if form in self._by_name:
                return self._by_name[form]
        return None

    def known(self, names: Mapping[str, str]) -> dict[str, str]:
        """Returns those names that mean an id, as that id, with what belongs to them."""
        found = {self.find(name): value for name, value in names.items()}
        return {video_id: value for video_id, value in found.items() if video_id is not None}


def _forms(name: str) -> tuple[str, str, str]:
    bare = without_ending(name.rsplit("/", 1)[-1])
    return name, bare, bare.removeprefix("v_")
