"""The manifest: which videos there are, what they show, and which split they belong to.

A manifest is a JSON Lines file. Line 1 is the header, every further line is one video::

    {"featx_manifest": 1, "name": "my-videos", "root": "videos", "classes": {"wave": "waving", "jump": "jumping"}}
    {"id": "wave/a.mp4", "path": "wave/a.mp4", "split": "train", "label": "wave"}

Paths are relative to ``root``, and ``root`` to the manifest's own folder. ``docs/manifest.md`` has every field.
"""

from __future__ import annotations

import math
import posixpath
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from featx.errors import FeatxError, nearest
from featx.files.json_lines import Problem, raise_first, scan_lines, write_lines

SCHEMA_VERSION = 1


class Span(BaseModel):
    """Part of a video, in seconds on its file's timeline; it may have no length, as some official ones have."""

    model_config = ConfigDict(extra="forbid")

    start_s: float = Field(ge=0, allow_inf_nan=False)
    end_s: float = Field(allow_inf_nan=False)

    @model_validator(mode="after")
    def _in_order(self) -> Span:
        if self.end_s < self.start_s:
            raise ValueError(f"ends at {self.end_s:g} s, before it starts at {self.start_s:g} s")
        return self


class Segment(Span):
    """One labelled part of a video."""

    label: str


class Video(BaseModel):
    """One video of a manifest, or with ``part_of`` a part of a longer one.

    Attributes:
        id: Unique.
        path: Of the file.
        split: That it belongs to.
        label: Recognition: its class.
        segments: Localisation: what happens when; in a part that has a ``start_s`` seconds since that.
        ambiguous: Localisation: where annotators did not agree; neither right nor wrong.
        captions: Retrieval: sentences about it.
        duration_s: As the annotations say.
        part_of: Id of the whole video, under which a store keeps it; with it go ``start_s`` and ``end_s``.
        start_s: Where the part begins; None for its beginning.
        end_s: Where it ends; None for its end.
    """

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1)
    path: str = Field(min_length=1)
    split: str = ""
    label: str | None = None
    segments: list[Segment] = []
    ambiguous: list[Span] = []
    captions: list[str] = []
    duration_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    part_of: str | None = Field(default=None, min_length=1)
    start_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    end_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _fits_together(self) -> Video:
        if self.part_of is None and (self.start_s is not None or self.end_s is not None):
            raise ValueError("start_s and end_s need part_of, the id of the whole video")
        if self.part_of is not None and self.part_end_s <= self.part_start_s:
            raise ValueError(f"ends at {self.end_s:g} s, not after its start at {self.part_start_s:g} s")
        return self

    @property
    def labels(self) -> set[str]:
        """Everything that it shows: its own label, and those of its segments."""
        shown = {segment.label for segment in self.segments}
        return shown if self.label is None else {self.label, *shown}

    @property
    def stored_id(self) -> str:
        """The id under which a store keeps its features: its own, or that of the whole video."""
        return self.part_of or self.id

    @property
    def part_start_s(self) -> float:
        """Where it begins within the stored video."""
        return self.start_s or 0.0

    @property
    def part_end_s(self) -> float:
        """Where it ends within the stored video; infinity for its end."""
        return math.inf if self.end_s is None else self.end_s


class Header(BaseModel):
    """What the whole manifest shares.

    Attributes:
        name: Of the data set.
        root: Folder of the videos' paths.
        classes: Label to text, in class order.
        allow_overlap: Whether a file may be in two splits.
        exclusion: Name of the rule by which official videos were left out.
        excluded: Those videos: official name to reason.
    """

    model_config = ConfigDict(extra="forbid")

    featx_manifest: int = SCHEMA_VERSION
    name: str
    root: str = "."
    classes: dict[str, str] = {}
    allow_overlap: bool = False
    exclusion: str = ""
    excluded: dict[str, str] = {}


class Manifest:
    """A header, its videos, and the file that they were read from (errors name it).

    Of a part of a manifest, `others` is the id and split of each video that is in the file and not in the part.
    """

    def __init__(
        self, header: Header, videos: list[Video], file: Path, others: dict[str, str] | None = None
    ) -> None:
        self.header = header
        self.videos = videos
        self.file = file
        self.others = others or {}

    def part(self, videos: list[Video], classes: dict[str, str] | None = None) -> Manifest:
        """Returns a manifest of some of the videos and, if they are given, of those classes."""
        kept = {video.id for video in videos}
        others = {video.id: video.split for video in self.videos if video.id not in kept}
        header = self.header if classes is None else self.header.model_copy(update={"classes": classes})
        return Manifest(header, videos, self.file, self.others | others)

    @property
    def root(self) -> Path:
        """The folder that the videos' paths are relative to."""
        return self.file.parent / self.header.root

    @property
    def labels(self) -> list[str]:
        """Class labels in class order."""
        return list(self.header.classes)

    @cached_property
    def by_id(self) -> dict[str, Video]:
        """The videos by their ids."""
        return {video.id: video for video in self.videos}

    def split(self, name: str) -> list[Video]:
        """Returns the videos of one split.

        Raises:
            FeatxError: If the manifest has no video in that split.
        """
        chosen = [video for video in self.videos if video.split == name]
        if not chosen:
            known = sorted({video.split for video in self.videos if video.split})
            raise FeatxError(f"{self.file}: no video in split '{name}'; it has {', '.join(known) or 'none'}")
        return chosen

    def only(self, labels: Iterable[str]) -> Manifest:
        """Returns the part of the manifest that shows some classes: they alone are its classes, in class order.

        A video with segments stays if one of them shows such a class, with those segments only.
        """
        wanted = set(labels)
        classes = {label: text for label, text in self.header.classes.items() if label in wanted}
        videos = []
        for video in self.videos:
            segments = [segment for segment in video.segments if segment.label in wanted]
            if video.label in wanted or segments:
                videos.append(video.model_copy(update={"segments": segments}))
        return self.part(videos, classes)


@dataclass
class ManifestScan:
    """What could be read of a manifest, line by line, and everything that is wrong with it."""

    header: Header | None
    rows: list[tuple[int, Video]]
    problems: list[Problem]


def scan_manifest(file: Path) -> ManifestScan:
    """Reads a manifest and lists every problem that keeps it from being used.

    Raises:
        FeatxError: If the file cannot be read at all.
    """
    lines = scan_lines(file, Header, Video, SCHEMA_VERSION, "manifest", "docs/manifest.md")
    if lines.header is None:
        return ManifestScan(None, lines.rows, lines.problems)
    problems = [*lines.problems, *id_problems(lines.rows), *_label_problems(lines.header, lines.rows)]
    if not lines.header.allow_overlap:
        problems += overlap_problems(lines.rows)
    if not lines.rows and not problems:
        problems.append(Problem(0, "a header but no videos"))
    return ManifestScan(lines.header, lines.rows, sorted(problems, key=lambda problem: problem.line))


def read_manifest(file: Path) -> Manifest:
    """Reads and validates a manifest.

    Args:
        file: A JSON Lines manifest.

    Returns:
        The manifest; ids are unique, every label is in the header's class list, and no file is in two splits.

    Raises:
        FeatxError: With the file, the line number and what is wrong there.
    """
    scan = scan_manifest(file)
    raise_first(file, scan.problems)
    assert scan.header is not None
    return Manifest(scan.header, [video for _, video in scan.rows], file)


def id_problems(rows: list[tuple[int, Video]]) -> list[Problem]:
    """Lists ids that were used before."""
    first_line: dict[str, int] = {}
    problems = []
    for line, video in rows:
        first = first_line.setdefault(video.id, line)
        if first != line:
            problems.append(Problem(line, f"id '{video.id}' was used on line {first} already"))
    return problems


def _label_problems(header: Header, rows: list[tuple[int, Video]]) -> list[Problem]:
    hints: dict[str, str] = {}
    problems = []
    for line, video in rows:
        for label in [video.label, *(segment.label for segment in video.segments)]:
            if label is None or label in header.classes:
                continue
            if label not in hints:
                hints[label] = nearest(label, header.classes) or "; add it there"
            message = f"class '{label}' is not in the header's class list{hints[label]}"
            problems.append(Problem(line, message))
    return problems


def overlap_problems(rows: list[tuple[int, Video]]) -> list[Problem]:
    """Lists files, or parts of them, that stand in two splits: what was learned from would be tested on."""
    uses: dict[str, list[tuple[int, Video]]] = defaultdict(list)
    problems = []
    for line, video in rows:
        if not video.split:
            continue
        of_file = uses[posixpath.normpath(video.path)]
        for first, other in of_file:
            shared = min(video.part_end_s, other.part_end_s) > max(video.part_start_s, other.part_start_s)
            if shared and video.split != other.split:
                problems.append(
                    Problem(
                        line,
                        f"'{video.path}' is in split '{video.split}' and, on line {first}, in '{other.split}'; take "
                        'one out, or allow it with "allow_overlap": true in the header',
                    )
                )
                break
        of_file.append((line, video))
    return problems


def write_manifest(manifest: Manifest) -> None:
    """Writes ``manifest.file``, whole or not at all."""
    rare = {name for name in ("allow_overlap", "exclusion", "excluded") if not getattr(manifest.header, name)}
    write_lines(manifest.file, manifest.header.model_dump(exclude=rare), manifest.videos)
