"""What was detected in a split, as flat arrays that belong to its ground truth: from and to files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.errors import FeatxError, nearest
from featx.localisation.activitynet_json import Found, read_results, write_results
from featx.localisation.ground_truth import GroundTruth
from featx.localisation.metrics.intervals import Detections, join_detections
from featx.localisation.proposals_file import read_proposals
from featx.video.names import NameFinder, find_videos, refuse_few


@dataclass(frozen=True)
class DetectionsFile:
    """What a file has about a split.

    Attributes:
        detections: Of the split's videos, in the order of the file.
        seen: (V,) bool: videos that the file names, with or without detections.
        left_out: Reason to number of detections that are not among them.
    """

    detections: Detections
    seen: np.ndarray
    left_out: dict[str, int]


def read_detections(
    file: Path,
    truth: GroundTruth,
    *,
    labelled: bool = True,
    ignore_unknown_videos: bool = False,
    ignore_unknown_labels: bool = False,
) -> DetectionsFile:
    """Reads a file of detections as arrays that belong to a ground truth.

    Args:
        file: JSON of ActivityNet's form.
        truth: What they are scored on.
        labelled: False for a file of class-agnostic proposals (featx.localisation.proposals_file), which all get label 0.
        ignore_unknown_videos: Count detections of videos that are not in the split, instead of refusing them.
        ignore_unknown_labels: Count detections of classes that the ground truth does not have.

    Raises:
        FeatxError: Naming the video or class, for one that is not known and what is not as it should be.
    """
    results = read_results(file, "--detections") if labelled else _read_proposals(file)
    place = f"--detections {file}"
    others = [*truth.other_splits, *truth.excluded]
    scored_ids = find_videos(results, truth.video_ids, others, place)
    finder = NameFinder([*truth.video_ids, *others])
    video_index = {video_id: number for number, video_id in enumerate(truth.video_ids)}
    label_index = {label: number for number, label in enumerate(truth.labels)}
    seen = np.zeros(len(truth.video_ids), dtype=bool)
    parts: list[Detections] = []
    left_out: dict[str, int] = {}
    unknown_videos: dict[str, str | None] = {}
    unknown_labels: dict[str, int] = {}
    for name, found in results.items():
        if name not in scored_ids:
            video_id = finder.find(name)
            if video_id in truth.excluded:
                _count(left_out, f"of videos that are not scored ({truth.excluded[video_id]})", len(found))
            else:
                unknown_videos[name] = video_id
                _count(left_out, f"of videos that are not in split '{truth.split}'", len(found))
            continue
        number = video_index[scored_ids[name]]
        seen[number] = True
        labels = np.zeros(len(found), dtype=np.int64)
        if found.labels is not None:
            labels[:] = [label_index.get(label, -1) for label in found.labels]
            for place_of in np.flatnonzero(labels < 0).tolist():
                _count(unknown_labels, found.labels[place_of], 1)
        videos = np.full(len(found), number, dtype=np.int64)
        parts.append(Detections(videos, found.start_s, found.end_s, labels, found.score).choose(labels >= 0))
    if unknown_videos and not ignore_unknown_videos:
        raise FeatxError(_unknown_videos(file, truth, unknown_videos, len(results)))
    refuse_few(scored_ids, truth.video_ids, unknown_videos, place)
    if unknown_labels:
        if not ignore_unknown_labels:
            raise FeatxError(_unknown_labels(file, truth, unknown_labels))
        _count(
            left_out,
            f"of {len(unknown_labels)} classes that {truth.file} does not have",
            sum(unknown_labels.values()),
        )
    return DetectionsFile(join_detections(parts), seen, left_out)


def _read_proposals(file: Path) -> dict[str, Found]:
    return {
        video_id: Found(None, own.start_s, own.end_s, own.score)
        for video_id, own in read_proposals(file).videos.items()
    }


def _count(counts: dict[str, int], key: str, more: int) -> None:
    counts[key] = counts.get(key, 0) + more


def _unknown_videos(file: Path, truth: GroundTruth, unknown: dict[str, str | None], asked: int) -> str:
    name, video_id = next(iter(unknown.items()))
    where = f"'{name}' is not in split '{truth.split}' of {truth.file}"
    if video_id is not None:
        where += (
            f" but in '{truth.other_splits[video_id]}'"
            if truth.other_splits[video_id]
            else " but in no split"
        )
    else:
        where += nearest(name, truth.video_ids)
    return (
        f"--detections {file}: {len(unknown)} of {asked} videos cannot be scored: {where} "
        "(--ignore-unknown-videos counts them and leaves them out)"
    )


def _unknown_labels(file: Path, truth: GroundTruth, unknown: dict[str, int]) -> str:
    label = next(iter(unknown))
    return (
        f"--detections {file}: {sum(unknown.values())} detections of {len(unknown)} classes that {truth.file} does not "
        f"have: '{label}'{nearest(label, truth.labels)} (--ignore-unknown-labels counts them and leaves them out)"
    )


def write_detections(detections: Detections, video_ids: list[str], labels: list[str], file: Path) -> None:
    """Writes detections in ActivityNet's form; a video without detections stands there with none.

    Args:
        detections: What was found.
        video_ids: Ids of the videos that were looked at.
        labels: Of the classes.
        file: To be written.

    Raises:
        FeatxError: If the file cannot be written.
        ValueError: If a number is not finite.
    """
    order = np.argsort(detections.videos, kind="stable")
    begins = np.searchsorted(detections.videos[order], np.arange(len(video_ids) + 1))
    results = {}
    for number, video_id in enumerate(video_ids):
        own = detections.choose(order[begins[number] : begins[number + 1]])
        names = [labels[label] for label in own.labels.tolist()]
        results[video_id] = Found(names, own.start_s, own.end_s, own.score)
    write_results(results, file)
