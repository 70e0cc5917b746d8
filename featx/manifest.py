"""The manifest: which videos there are, what they show, and which split they belong to.

A manifest is a JSON Lines file. Line 1 is the header, every further line is one video::

    {"featx_manifest": 1, "name": "my-videos", "root": "videos", "classes": {"wave": "waving", "jump": "jumping"}}
    {"id": "wave/a.mp4", "path": "wave/a.mp4", "split": "train", "label": "wave"}

Paths are relative to ``root``, and ``root`` to the manifest's own folder. ``docs/manifest.md`` has every field.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from featx.errors import FeatxError, nearest
from featx.files import write_atomically

SCHEMA_VERSION = 1

Model = TypeVar("Model", bound=BaseModel)


class Segment(BaseModel):
    """One labelled part of a video, in seconds from its first frame."""

    model_config = ConfigDict(extra="forbid")

    start_s: float = Field(ge=0)
    end_s: float
    label: str


class Video(BaseModel):
    """One video of a manifest."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1)
    path: str = Field(min_length=1)
    split: str = ""
    label: str | None = None
    segments: list[Segment] = []
    captions: list[str] = []


class Header(BaseModel):
    """What the whole manifest shares; ``classes`` maps each label to its text, in class order."""

    model_config = ConfigDict(extra="forbid")

    featx_manifest: int = SCHEMA_VERSION
    name: str
    root: str = "."
    classes: dict[str, str] = {}


class Manifest:
    """A header, its videos, and the file that they were read from (errors name it)."""

    def __init__(self, header: Header, videos: list[Video], file: Path) -> None:
        self.header = header
        self.videos = videos
        self.file = file

    @property
    def root(self) -> Path:
        """The folder that the videos' paths are relative to."""
        return self.file.parent / self.header.root

    @property
    def labels(self) -> list[str]:
        """Class labels in class order."""
        return list(self.header.classes)

    def split(self, name: str) -> list[Video]:
        """Returns the videos of one split.

        Raises:
            FeatxError: If the manifest has no video in that split.
        """
        chosen = [video for video in self.videos if video.split == name]
        if not chosen:
            known = sorted({video.split for video in self.videos})
            raise FeatxError(f"{self.file}: no video in split '{name}'; it has {', '.join(known) or 'none'}")
        return chosen


def read_manifest(file: Path) -> Manifest:
    """Reads and validates a manifest.

    Args:
        file: A JSON Lines manifest.

    Returns:
        The manifest; ids are unique and every label is in the header's class list.

    Raises:
        FeatxError: With the file, the line number and what is wrong there.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FeatxError(f"{file}: cannot read the manifest ({error})") from error
    if not lines[0]:
        raise FeatxError(f"{file}: empty; a manifest begins with a header line, see docs/manifest.md")
    header = _parse(Header, lines[0], file, 1)
    if header.featx_manifest != SCHEMA_VERSION:
        raise FeatxError(
            f"{file}: schema version {header.featx_manifest}; this featx reads version {SCHEMA_VERSION}"
        )
    first_line: dict[str, int] = {}
    videos: list[Video] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        video = _parse(Video, line, file, number)
        if video.id in first_line:
            raise FeatxError(
                f"{file}:{number}: id '{video.id}' was used on line {first_line[video.id]} already"
            )
        first_line[video.id] = number
        for label in [video.label, *(segment.label for segment in video.segments)]:
            if label is not None and label not in header.classes:
                hint = nearest(label, header.classes)
                raise FeatxError(
                    f"{file}:{number}: class '{label}' is not in the header's class list{hint or '; add it there'}"
                )
        videos.append(video)
    if not videos:
        raise FeatxError(f"{file}: a header but no videos")
    return Manifest(header, videos, file)


def _parse(model: type[Model], line: str, file: Path, number: int) -> Model:
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        known = nearest(place, model.model_fields) if first["type"] == "extra_forbidden" else ""
        raise FeatxError(f"{file}:{number}: {place + ': ' if place else ''}{first['msg']}{known}") from error


def write_manifest(manifest: Manifest) -> None:
    """Writes ``manifest.file``, whole or not at all."""
    rows = [
        manifest.header.model_dump(),
        *(video.model_dump(exclude_defaults=True) for video in manifest.videos),
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(manifest.file, text.encode())


def count_by_split(manifest: Manifest) -> dict[str, int]:
    """Returns the number of videos of each split, for reports."""
    return dict(Counter(video.split for video in manifest.videos))
