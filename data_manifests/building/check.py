"""Looks through a manifest and says everything that is wrong or odd about it, with line numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path

from featx.files.json_lines import Problem
from featx.manifest.videos import Header, ManifestScan, Video, overlap_problems, scan_manifest

from .names import similar_labels
from .segments import segment_notes

USUAL_SPLITS = (("train",), ("test", "val"))  # one of each is expected


@dataclass(frozen=True)
class Checked:
    """What a manifest holds, and its problems in the order of their lines.

    Attributes:
        scan: What could be read.
        problems: Everything that was found.
        counts: Class to split to number of videos; classes without videos are there too.
    """

    scan: ManifestScan
    problems: list[Problem]
    counts: dict[str, Counter[str]]

    @property
    def errors(self) -> int:
        """Number of problems that keep the manifest from being used."""
        return sum(problem.severity == "error" for problem in self.problems)


def check_manifest(file: Path, store_ids: Container[str] | None, allow_overlap: bool) -> Checked:
    """Checks a manifest.

    Args:
        file: The manifest.
        store_ids: Ids of the videos that a feature store has; None looks for the video files instead.
        allow_overlap: Whether a file may be in two splits.

    Raises:
        FeatxError: If the file cannot be read at all.
    """
    scan = scan_manifest(file)
    problems = list(scan.problems)
    counts: dict[str, Counter[str]] = (
        {label: Counter() for label in scan.header.classes} if scan.header else {}
    )
    for _, video in scan.rows:
        for label in video.labels & counts.keys():
            counts[label][video.split] += 1
    if scan.header:
        overlaps = set(overlap_problems(scan.rows))
        if allow_overlap or scan.header.allow_overlap:
            problems = [one for one in problems if one not in overlaps]
            problems += [replace(one, severity="warning") for one in overlaps]
        problems += _class_problems(scan.header, counts)
        problems += _split_problems(scan.rows)
        problems += _absence_problems(file.parent / scan.header.root, scan.rows, store_ids)
    return Checked(scan, sorted(problems, key=lambda one: (one.line, one.message)), counts)


def _class_problems(header: Header, counts: dict[str, Counter[str]]) -> list[Problem]:
    problems = [
        Problem(1, f"class '{label}' has no video; give it some or take it out of the header's classes")
        for label, by_split in counts.items()
        if not by_split
    ]
    for one, other in similar_labels(header.classes):
        message = (
            f"classes '{one}' and '{other}' differ by case, underscores or spaces alone; should they be one?"
        )
        problems.append(Problem(1, message, "warning"))
    for label, text in header.classes.items():
        if not text.strip():
            problems.append(Problem(1, f"class '{label}' has an empty text"))
    texts = Counter(header.classes.values())
    repeated = [text for text, count in texts.items() if count > 1]
    problems += [Problem(1, f"{texts[text]} classes have the text '{text}'", "warning") for text in repeated]
    seen_in = {split for by_split in counts.values() for split in by_split if split}
    for split in sorted(seen_in):
        lacking = [label for label, by_split in counts.items() if by_split and not by_split[split]]
        problems += [
            Problem(1, f"class '{label}' has no video in split '{split}'", "warning") for label in lacking
        ]
    return problems


def _split_problems(rows: list[tuple[int, Video]]) -> list[Problem]:
    splits = Counter(video.split for _, video in rows)
    lacking = [names for names in USUAL_SPLITS if rows and not any(splits[name] for name in names)]
    problems = [Problem(0, f"split '{names[0]}' is empty", "warning") for names in lacking]
    if splits[""]:
        problems.append(Problem(0, f"{splits['']:,} videos are in no split", "warning"))
    return problems


def _absence_problems(
    root: Path, rows: list[tuple[int, Video]], store_ids: Container[str] | None
) -> list[Problem]:
    if store_ids is None:
        absent = [(line, video) for line, video in rows if not (root / video.path).exists()]
        return [Problem(line, f"no file '{root / video.path}'", "warning") for line, video in absent]
    absent = [(line, video) for line, video in rows if video.stored_id not in store_ids]
    problems = [Problem(line, f"the store lacks '{video.stored_id}'", "warning") for line, video in absent]
    lacking = Counter(video.split for _, video in absent)
    listed = Counter(video.split for _, video in rows)
    for split, count in lacking.items():
        if count == listed[split]:
            name = f"split '{split}'" if split else "the videos in no split"
            problems.append(Problem(0, f"the store has none of the {count:,} videos of {name}"))
    return problems


def summary(checked: Checked, file: Path, store_ids: Container[str] | None) -> list[str]:
    """Returns the counts of each split, as lines."""
    videos = [video for _, video in checked.scan.rows]
    listed = Counter(video.split for video in videos)
    lines = []
    for split, count in listed.items():
        classes = sum(bool(by_split[split]) for by_split in checked.counts.values())
        most = [by_split[split] for by_split in checked.counts.values() if by_split[split]]
        line = f"  {split or '(none)':<10} {count:>9,} videos, {classes} classes"
        if most:
            line += f" of {min(most):,} to {max(most):,}"
        if store_ids is not None:
            there = sum(video.stored_id in store_ids for video in videos if video.split == split)
            line += f", {there:,} in the store, {count - there:,} missing"
        lines.append(line)
    name = checked.scan.header.name if checked.scan.header else "header not readable"
    return [
        f"{file}: {name}, {len(videos):,} videos, {len(checked.counts)} classes",
        *lines,
        *(f"  {note}" for note in segment_notes(videos)),
    ]


def class_table(checked: Checked) -> list[str]:
    """Returns the number of videos of each class and split, as lines."""
    splits = list(dict.fromkeys(video.split for _, video in checked.scan.rows))
    width = max((len(label) for label in checked.counts), default=0)
    head = "  " + "class".ljust(width) + "".join((split or "(none)").rjust(10) for split in splits)
    rows = [
        "  " + label.ljust(width) + "".join(f"{by_split[split]:,}".rjust(10) for split in splits)
        for label, by_split in checked.counts.items()
    ]
    return [head, *rows]
