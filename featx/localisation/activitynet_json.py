"""ActivityNet's JSON, which many programs for localisation read and write: annotated videos, and what was detected.

Ground truth: ``{"database": {ID: {"subset", "duration", "annotations": [{"label", "segment": [START, END]}]}}}``.
Detections: ``{"results": {ID: [{"label", "score", "segment": [START, END]}]}}``. Both in seconds. docs/localisation.md.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featx.errors import FeatxError
from featx.files.atomic import write_atomically
from featx.files.plain_json import read_plain_object

SPLITS = {"training": "train", "validation": "val", "testing": "test"} | {
    split: split for split in ("train", "val", "test")
}


@dataclass(frozen=True)
class Annotation:
    """One instance, in seconds."""

    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class AnnotatedVideo:
    """One video of a database.

    Attributes:
        id: As the file has it; ActivityNet's have no ``v_``, its video files do.
        split: ``train``, ``val``, ``test`` for ActivityNet's subsets, in whatever case; any other word stays as it is.
        duration_s: None if the file does not say.
        annotations: In the order of the file.
    """

    id: str
    split: str
    duration_s: float | None
    annotations: list[Annotation]


@dataclass(frozen=True)
class Database:
    """A file of annotated videos, with what it says about its version."""

    version: str
    videos: list[AnnotatedVideo]


@dataclass(frozen=True)
class Found:
    """The P detections, or proposals, of one video.

    Attributes:
        labels: Of each; None for proposals.
        start_s: (P,) float64 seconds.
        end_s: (P,) float64 seconds, not before `start_s`.
        score: (P,) float64.
    """

    labels: list[str] | None
    start_s: np.ndarray
    end_s: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.score)


def split_name(subset: str) -> str:
    """Returns the split that a subset is, such as ``val`` for ``validation``."""
    return SPLITS.get(subset.casefold(), subset)


def read_database(file: Path, flag: str = "") -> Database:
    """Reads a file of annotated videos.

    Args:
        file: The file.
        flag: The option that names it, for messages.

    Raises:
        FeatxError: Naming video and annotation, for whatever is not as it should be.
    """
    place = f"{flag} {file}".strip()
    content = read_plain_object(file, flag)
    videos = [
        _video(video_id, entry, f"{place}: video '{video_id}'")
        for video_id, entry in _part(content, "database", place).items()
    ]
    if not videos:
        raise FeatxError(f"{place}: its database holds no video")
    return Database(str(content.get("version", "")), videos)


def _video(video_id: str, entry: Any, place: str) -> AnnotatedVideo:
    if not isinstance(entry, dict) or not isinstance(entry.get("subset"), str):
        raise FeatxError(f"{place}: must be an object with subset, duration and annotations")
    duration = entry.get("duration")
    duration_s = _seconds(duration)
    if duration is not None and not (duration_s and duration_s > 0):
        raise FeatxError(f"{place}: its duration must be seconds, not {duration!r}")
    rows = entry.get("annotations")
    if not isinstance(rows, list):
        raise FeatxError(f"{place}: has no list of annotations")
    annotations = []
    for number, row in enumerate(rows):
        at = f"{place}, annotation {number}"
        start_s, end_s = _segment(row, at)
        if start_s < 0:
            raise FeatxError(f"{at}: starts at {start_s:g} s, before the video")
        annotations.append(Annotation(_label(row, at), start_s, end_s))
    return AnnotatedVideo(video_id, split_name(entry["subset"]), duration_s, annotations)


def read_results(file: Path, flag: str = "") -> dict[str, Found]:
    """Reads a file of detections.

    Args:
        file: The file.
        flag: The option that names it, for messages.

    Returns:
        The detections of each video, both in the order of the file.

    Raises:
        FeatxError: Naming video and detection, for whatever is not as it should be.
    """
    return parse_results(read_plain_object(file, flag), f"{flag} {file}".strip())


def parse_results(content: dict[str, Any], place: str, labelled: bool = True) -> dict[str, Found]:
    """Returns the detections, or the proposals, that a JSON object of this form holds.

    Args:
        content: The object.
        place: Where it stands, for messages.
        labelled: False for proposals, whose labels do not matter.

    Raises:
        FeatxError: As `read_results`.
    """
    results = _part(content, "results", place)
    if not results:
        raise FeatxError(f"{place}: its results hold no video")
    found = {}
    for video_id, rows in results.items():
        if not isinstance(rows, list):
            raise FeatxError(f"{place}: video '{video_id}': must have a list of detections")
        at = f"{place}: video '{video_id}'"
        found[video_id] = _plain(rows, labelled) or _one_by_one(rows, at, labelled)
    return found


def _plain(rows: list[Any], labelled: bool) -> Found | None:
    """Returns what stands there if it all is as it should be, many times as fast as row by row; else None."""
    try:
        segments = [row["segment"] for row in rows]
        numbers = [one for segment in segments for one in segment] + [row["score"] for row in rows]
        labels = [row["label"] for row in rows] if labelled else None
        lengths = set(map(len, segments))
    except (KeyError, TypeError):
        return None
    if (
        not lengths <= {2}
        or not set(map(type, segments)) <= {list}
        or not set(map(type, numbers)) <= {int, float}
    ):
        return None
    if labels is not None and (not all(labels) or not set(map(type, labels)) <= {str}):
        return None
    try:
        values = np.array(numbers, dtype=np.float64)
    except OverflowError:  # a whole number of more than 300 digits
        return None
    start_s, end_s, score = (
        values[: 2 * len(rows) : 2],
        values[1 : 2 * len(rows) : 2],
        values[2 * len(rows) :],
    )
    fine = np.isfinite(values).all() and (end_s >= start_s).all()
    return Found(labels, start_s, end_s, score) if fine else None


def _one_by_one(rows: list[Any], place: str, labelled: bool) -> Found:
    labels, values = [], []
    for number, row in enumerate(rows):
        at = f"{place}, {'detection' if labelled else 'proposal'} {number}"
        start_s, end_s = _segment(row, at)
        score = row.get("score")
        if not _is_finite(score):
            raise FeatxError(f"{at}: its score must be a finite number, not {score!r}")
        labels.append(_label(row, at) if labelled else "")
        values.append((start_s, end_s, float(score)))
    return Found(labels if labelled else None, *np.array(values, dtype=np.float64).reshape(-1, 3).T)


def write_results(results: dict[str, Found], file: Path) -> None:
    """Writes a file of detections, all with labels, that ActivityNet's program reads, too.

    Raises:
        FeatxError: If the file cannot be written.
    """
    content = {
        "version": "VERSION 1.3",
        "results": {
            video_id: [
                {"label": label, "score": score, "segment": segment}
                for label, score, *segment in zip(
                    one.labels or [],
                    *(column.tolist() for column in (one.score, one.start_s, one.end_s)),
                    strict=True,
                )
            ]
            for video_id, one in results.items()
        },
        "external_data": {},
    }
    try:
        write_atomically(file, (json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise FeatxError(f"{file}: cannot write it ({error.strerror})") from error


def _part(content: dict[str, Any], name: str, place: str) -> dict[str, Any]:
    part = content.get(name)
    if not isinstance(part, dict):
        known = ", ".join(list(content)[:5]) or "nothing"
        raise FeatxError(f"{place}: has no object '{name}' (it has {known}); see docs/localisation.md")
    return part


def _label(row: dict[str, Any], place: str) -> str:
    label = row.get("label")
    if not isinstance(label, str) or not label:
        raise FeatxError(f"{place}: has no label")
    return label


def _segment(row: Any, place: str) -> tuple[float, float]:
    segment = row.get("segment") if isinstance(row, dict) else None
    start_s, end_s = (
        map(_seconds, segment) if isinstance(segment, list) and len(segment) == 2 else (None, None)
    )
    if start_s is None or end_s is None:
        raise FeatxError(f"{place}: its segment must be [start, end] in seconds, not {segment!r}")
    if end_s < start_s:
        raise FeatxError(f"{place}: ends at {end_s:g} s, before it starts at {start_s:g} s")
    return start_s, end_s


def _seconds(value: Any) -> float | None:
    """Returns a number, or a text that is one, as the official program does (`float`); None for what is neither."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if _is_finite(value) else None


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
