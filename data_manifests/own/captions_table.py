"""One's own captions, or those of a data set without public files: a CSV or JSON Lines file of videos and sentences.

Rows with the same id are one video with several captions. With a start or an end a row is about that part of its file.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from featx.errors import FeatxError, nearest
from featx.video.files import without_ending

from ..building.captions import caption_notes
from ..building.csv_file import header_reader
from ..building.draw import SplitDraw, draw_test_videos
from ..building.entries import Annotations, VideoEntry


@dataclass(frozen=True)
class Columns:
    """Names of the columns; those of optional ones are only looked for if they are there, or were asked for.

    Attributes:
        path: File name or path of the video, with or without ending.
        captions: A sentence; in JSON Lines also a list of them.
        id: Own id of the row's video or clip; without it the path is the id.
        split: Split; without it a part is drawn for the test.
        start: Where the clip begins in its file, in seconds.
        end: Where it ends.
    """

    path: str = "path"
    captions: str = "captions"
    id: str = "id"
    split: str = "split"
    start: str = "start"
    end: str = "end"


@dataclass
class _Clip:
    """What the rows of one id say."""

    path: str
    split: str
    start_s: float | None
    end_s: float | None
    captions: list[str]
    place: str

    def same(self, other: _Clip) -> bool:
        """Whether both are about the same part of the same file and split."""
        return all(
            getattr(self, name) == getattr(other, name) for name in ("path", "split", "start_s", "end_s")
        )


def read_captions(
    file: Path,
    name: str,
    columns: Columns,
    delimiter: str,
    draw: SplitDraw,
    test_split: str = "test",
) -> Annotations:
    """Reads the rows of a table.

    Args:
        file: `.jsonl`, or else CSV whose first line names the columns.
        name: Name of the data set.
        columns: Names of the columns.
        delimiter: What separates the columns of a CSV file.
        draw: Without splits: what is drawn for the test.
        test_split: Split whose repeated sentences are named.

    Raises:
        FeatxError: If a column is not there, a cell is empty or not a number, or rows of one id contradict each other.
    """
    clips: dict[str, _Clip] = {}
    own_ids = False
    for place, row in _rows(file, columns, delimiter):
        clip = _clip(row, columns, place)
        own_id = _text(row.get(columns.id))
        own_ids = own_ids or bool(own_id)
        first = clips.setdefault(own_id or clip.path, clip)
        if first is not clip:
            if not first.same(clip):
                raise FeatxError(
                    f"{place}: id '{own_id or clip.path}' has another file, part or split than in {first.place}; "
                    "clips of one file need ids of their own"
                )
            first.captions += clip.captions
    if not any(clip.split for clip in clips.values()):
        drawn = draw_test_videos(sorted({clip.path for clip in clips.values()}), "", draw)
        for clip in clips.values():
            clip.split = "test" if clip.path in drawn else "train"
    entries = [
        VideoEntry(
            (without_ending(clip.path),),
            clip.path,
            "",
            clip.split,
            None,
            clip.place,
            captions=tuple(clip.captions),
            id=own_id if own_ids else "",
            start_s=clip.start_s,
            end_s=clip.end_s,
        )
        for own_id, clip in clips.items()
    ]
    return Annotations(name, {}, entries, {}, caption_notes(entries, {}, test_split))


def _clip(row: dict[str, Any], columns: Columns, place: str) -> _Clip:
    path = _text(row.get(columns.path)).replace("\\", "/")
    said = row.get(columns.captions)
    captions = [
        _text(one) if isinstance(one, str) else "" for one in (said if isinstance(said, list) else [said])
    ]
    if not path or not captions or not all(captions):
        empty = columns.captions if path else columns.path
        raise FeatxError(f"{place}: '{empty}' is empty, or not a text")
    path = PurePosixPath(path).as_posix().removeprefix("/")
    start_s, end_s = (_seconds(row.get(name), name, place) for name in (columns.start, columns.end))
    if end_s is not None and end_s <= (start_s or 0.0):
        raise FeatxError(f"{place}: ends at {end_s:g} s, not after its start at {start_s or 0.0:g} s")
    return _Clip(path, _text(row.get(columns.split)), start_s, end_s, captions, place)


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _seconds(value: Any, column: str, place: str) -> float | None:
    if _text(value) == "":
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise FeatxError(f"{place}: '{column}' must be seconds on the file's timeline, not '{value}'")
    return seconds


def _rows(file: Path, columns: Columns, delimiter: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the place and the content of every row.

    Raises:
        FeatxError: If the file cannot be read, has no row, or lacks a column.
    """
    rows = _json_rows(file) if file.suffix == ".jsonl" else _csv_rows(file, delimiter)
    found = False
    for place, row in rows:
        if not found:
            _check_columns(columns, list(row), place)
        found = True
        yield place, row
    if not found:
        raise FeatxError(f"{file}: no row in it")


def _check_columns(columns: Columns, known: list[str], place: str) -> None:
    usual = Columns()
    for what in vars(columns):
        name = getattr(columns, what)
        needed = what in ("path", "captions") or name != getattr(usual, what)
        if needed and name not in known:
            hint = nearest(name, known) or f"; it has {', '.join(known)}"
            raise FeatxError(f"{place}: no column '{name}'{hint}")


def _csv_rows(file: Path, delimiter: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = header_reader(lines, file, delimiter)
            for row in reader:
                place = f"{file}:{reader.line_num}"
                if None in row:
                    raise FeatxError(f"{place}: more cells than columns; is every comma inside quotes?")
                yield place, row
    except (OSError, UnicodeDecodeError, csv.Error, TypeError) as error:
        raise FeatxError(f"{file}: cannot read it as CSV ({error})") from error


def _json_rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise FeatxError(
                            f'{file}:{number}: must be an object, as {{"path": …, "captions": …}}'
                        )
                    yield f"{file}:{number}", row
    except (OSError, ValueError) as error:
        raise FeatxError(f"{file}: cannot read it as JSON Lines ({error})") from error
