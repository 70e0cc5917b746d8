"""THUMOS14: one file a class and subset (`CricketBowling_test.txt`), and `Ambiguous_test.txt`; lines `VIDEO START END`.

The official archives keep the files of the two subsets in folders of different names and depths, so they are looked for
at any depth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from featx.errors import FeatxError
from featx.manifest.videos import Segment, Span

from ..building.entries import Annotations, VideoEntry, read_lines
from ..building.names import class_texts
from .info.read import DatasetInfo, Exclusion, read_dataset_info

DATA_SET = "thumos14"
AMBIGUOUS = "Ambiguous"


@dataclass
class _Video:
    split: str
    source: str
    segments: list[Segment] = field(default_factory=list)
    ambiguous: list[Span] = field(default_factory=list)


def read_thumos14(folder: Path, exclude: str | None = None) -> Annotations:
    """Reads the temporal annotations of the validation videos (split `train`) and the test videos.

    Args:
        folder: Folder that has the official files of both subsets, at any depth.
        exclude: Name of a rule in the information by which videos are left out; None for the first, which leaves out none.

    Raises:
        FeatxError: If there is no such rule, a subset's files are not there or twice, or a line is not as it should be.
    """
    info = read_dataset_info(DATA_SET)
    name, rule = _exclusion(info, exclude)
    videos: dict[str, _Video] = {}
    labels: set[str] = set()
    for split, (subset,) in info.files.items():
        for label, file in _files(folder, subset).items():
            if label != AMBIGUOUS:
                labels.add(label)
            _read_file(file, label, split, videos)
    entries = [
        VideoEntry((video_id,), video_id + info.ending, "", video.split, None, video.source,
              tuple(video.segments), tuple(video.ambiguous))
        for video_id, video in sorted(videos.items(), key=lambda item: (item[1].split == "test", item[0]))
        if video_id not in rule.videos
    ]  # fmt: skip
    return Annotations(
        info.name,
        class_texts(sorted(labels), info.class_text, info.class_texts),
        entries,
        info.counts[1] | {info.test_split: info.counts[1][info.test_split] - len(rule.videos)},
        _notes(info, name, rule, videos, labels, folder),
        exclusion=name,
        excluded={one: info.odd_videos[one] for one in rule.videos},
    )


def _exclusion(info: DatasetInfo, name: str | None) -> tuple[str, Exclusion]:
    chosen = name or next(iter(info.exclusions))
    if chosen not in info.exclusions:
        rules = "; ".join(f"{rule} ({one.source})" for rule, one in info.exclusions.items())
        raise FeatxError(f"--exclude {chosen}: must be one of {rules}")
    return chosen, info.exclusions[chosen]


def _files(folder: Path, subset: str) -> dict[str, Path]:
    """Returns label to file, in the order of the labels, of one subset.

    Raises:
        FeatxError: If there is no such folder, it has no annotations of the subset, or a class has two files.
    """
    if not folder.is_dir():
        raise FeatxError(f"--annotations {folder}: no such folder")
    ending = f"_{subset}.txt"
    files: dict[str, Path] = {}
    for file in sorted(folder.rglob(f"*{ending}")):
        first = files.setdefault(file.name.removesuffix(ending), file)
        if first != file:
            raise FeatxError(f"--annotations {folder}: {first} or {file}? Give the folder of the one to take")
    if not files.keys() - {AMBIGUOUS}:
        raise FeatxError(
            f"--annotations {folder}: no <Class>{ending}; it must hold THUMOS14's temporal annotations of both subsets"
        )
    return dict(sorted(files.items()))


def _read_file(file: Path, label: str, split: str, videos: dict[str, _Video]) -> None:
    for number, line in read_lines(file):
        place = f"{file}:{number}"
        words = line.split()  # one blank or several
        try:
            video_id, start, end = words
            start_s, end_s = float(start), float(end)
        except ValueError:
            raise FeatxError(f"{place}: must be a video and two times, not '{line}'") from None
        if not 0 <= start_s <= end_s < math.inf:
            raise FeatxError(
                f"{place}: must begin at 0 s or later and not end before it begins, not '{line}'"
            )
        video = videos.setdefault(video_id, _Video(split, place))
        if video.split != split:
            raise FeatxError(f"{place}: '{video_id}' is of the other subset, too: {video.source}")
        if label == AMBIGUOUS:
            video.ambiguous.append(Span(start_s=start_s, end_s=end_s))
        else:
            video.segments.append(Segment(start_s=start_s, end_s=end_s, label=label))


def _notes(
    info: DatasetInfo, name: str, rule: Exclusion, videos: dict[str, _Video], labels: set[str], folder: Path
) -> list[str]:
    notes = []
    if len(labels) != info.class_count:
        notes.append(f"{len(labels)} of {info.class_count} classes are in {folder}")
    official = ", ".join(f"{count:,} in {split}" for split, count in info.instances.items())
    notes.append(f"official instances: {official}")
    absent = [one for one in rule.videos if one not in videos]
    left_out = ", ".join(f"{one} ({info.odd_videos[one]})" for one in rule.videos) or "none"
    notes.append(
        f"--exclude {name}: {len(rule.videos) - len(absent)} test videos left out: {left_out}; as {rule.source}"
    )
    odd = [
        f"{one} ({why})" for one, why in info.odd_videos.items() if one in videos and one not in rule.videos
    ]
    if odd:
        notes.append(f"odd videos that stay in: {', '.join(odd)}")
    return [*notes, *info.notes]
