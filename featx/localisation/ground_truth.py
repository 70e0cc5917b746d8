"""What is annotated in a split, as flat arrays: from a manifest or from a file of ActivityNet's form.

The metrics (featx.localisation.metrics.average_precision and others) take these arrays; files name videos and classes, arrays number them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from featx.errors import FeatxError, nearest
from featx.files.atomic import read_list
from featx.files.plain_json import read_plain_json
from featx.localisation.activitynet_json import read_database, split_name
from featx.localisation.metrics.intervals import Instances, Spans
from featx.manifest.videos import Manifest
from featx.video.names import NameFinder

BLOCKED_FLAG = "--blocked-videos"
NAMED = 10  # ids that fit nothing that a note names


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
        excluded: Name to reason: videos that are not scored although somebody may have looked at them.
        other_splits: Name to split: videos of other splits.
        notes: What a reader must know of it.
    """

    file: Path
    data_set: str
    split: str
    video_ids: list[str]
    labels: list[str]
    instances: Instances
    ambiguous: Spans
    excluded: dict[str, str] = field(default_factory=dict)
    other_splits: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Blocked:
    """Names of videos that are not to be scored, and the file that has them."""

    file: Path
    names: list[str]

    def find(self, ids: Iterable[str], truth: Path) -> tuple[dict[str, str], list[str]]:
        """Returns the ids that are meant, each with the reason, and a note of the names that mean none.

        Raises:
            FeatxError: If no name means a video.
        """
        known = list(ids)
        finder = NameFinder(known)
        found = {name: finder.find(name) for name in self.names}
        strange = [name for name, video_id in found.items() if video_id is None]
        if len(strange) == len(found):
            raise FeatxError(
                f"{BLOCKED_FLAG} {self.file}: none of its {len(found)} ids is of a video of {truth}: "
                f"'{strange[0]}'{nearest(strange[0], known)}"
            )
        some = ", ".join(f"'{name}'" for name in strange[:NAMED]) + (", …" if len(strange) > NAMED else "")
        notes = [
            f"{BLOCKED_FLAG} {self.file}: {len(strange)} of {len(found)} ids are of no video of {truth}: {some}"
        ]
        ids_found = [video_id for video_id in found.values() if video_id is not None]
        return dict.fromkeys(ids_found, "blocked"), notes if strange else []


def manifest_truth(manifest: Manifest, split: str | None, blocked: Blocked | None = None) -> GroundTruth:
    """Returns a manifest's segments of one split.

    Args:
        manifest: The manifest; of part of its classes, if `Manifest.only` made it.
        split: The split; None for `default_split`.
        blocked: Videos that are not to be scored.

    Raises:
        FeatxError: If the split has no video, or none with a segment.
    """
    split = split or default_split(
        {video.split for video in manifest.videos if video.segments}, manifest.file
    )
    excluded = dict.fromkeys(manifest.header.excluded, f"excluded by rule {manifest.header.exclusion}")
    notes: list[str] = []
    if blocked:
        ids = [*manifest.header.excluded, *manifest.others, *(video.id for video in manifest.videos)]
        found, notes = blocked.find(ids, manifest.file)
        excluded = found | excluded
    videos = [video for video in manifest.split(split) if video.id not in excluded]
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
            excluded,
            manifest.others | {video.id: video.split for video in manifest.videos if video.split != split},
            notes,
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


def json_truth(file: Path, split: str | None, blocked: Blocked | None = None) -> GroundTruth:
    """Returns the annotations of one split of a JSON file; its classes are the labels of all splits, as they occur.

    Args:
        file: ActivityNet's, or of that form.
        split: `val`, or as the file calls it (`validation`); None for `default_split`.
        blocked: Videos that are not to be scored.

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
    ids = [video.id for video in database.videos]
    excluded, notes = blocked.find(ids, file) if blocked else ({}, [])
    videos = [video for video in database.videos if video.split == split and video.id not in excluded]
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
            excluded,
            {video.id: video.split for video in database.videos if video.split != split},
            notes,
        )
    )


def data_set_of_version(version: str) -> str:
    """Returns the data set that a JSON file's `version` names, or nothing: ActivityNet's own is "VERSION 1.3"."""
    said = version.casefold()
    if said.startswith("version 1.") or "activitynet" in said:
        return "activitynet"
    return "thumos14" if "thumos14" in said else ""


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


def read_blocked(file: Path) -> Blocked:
    """Reads the videos that are not to be scored: one id a line, or a JSON list of ids.

    The official program asked a server, which is gone; so the list is a file of one's own.

    Raises:
        FeatxError: If the file cannot be read, names nothing or is neither.
    """
    if file.suffix != ".json":
        return Blocked(file, list(read_list(file, BLOCKED_FLAG, "video").values()))
    names = read_plain_json(file, BLOCKED_FLAG)
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise FeatxError(f"{BLOCKED_FLAG} {file}: must be a JSON list of video ids")
    return Blocked(file, names)
