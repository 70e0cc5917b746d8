"""One's own table: a CSV file whose columns say which video, which class and which split."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from featx.errors import FeatxError, nearest
from featx.video.files import without_ending

from ..building.csv_file import header_reader
from ..building.draw import SplitDraw, draw_test_videos
from ..building.entries import Annotations, VideoEntry
from ..building.names import class_texts
from .folder import refuse_similar


@dataclass(frozen=True)
class TableColumns:
    """Names of a table's columns.

    Attributes:
        video: Column with a file name or path, with or without ending.
        label: Column with the class; None if there is none.
        split: Column with the split; None draws train and test.
    """

    video: str = "path"
    label: str | None = "label"
    split: str | None = "split"


def read_table(
    file: Path,
    name: str,
    columns: TableColumns,
    delimiter: str,
    text_rule: str,
    draw: SplitDraw,
) -> Annotations:
    r"""Reads the rows of a CSV file as annotation entries.

    Args:
        file: The table; its first line names the columns.
        name: Name of the data set.
        columns: Names of the columns.
        delimiter: What separates columns, such as `,` or a tab (`\t`).
        text_rule: Rule for class texts.
        draw: Without a split column: what is drawn for the test.

    Raises:
        FeatxError: If a column is not there, a cell is empty, or two classes differ in their spelling alone.
    """
    video_column, label_column, split_column = columns.video, columns.label, columns.split
    rows = _read_rows(file, [c for c in (video_column, label_column, split_column) if c], delimiter)
    videos_of: dict[str, list[str]] = {}
    for row in rows:
        videos_of.setdefault(row[label_column] if label_column else "", []).append(row[video_column])
    if label_column:
        refuse_similar(videos_of, str(file))
    drawn = {
        label: set() if split_column else draw_test_videos(sorted(set(videos)), label, draw)
        for label, videos in videos_of.items()
    }
    entries = []
    for row in rows:
        video, label = row[video_column].replace("\\", "/"), row[label_column] if label_column else ""
        split = (
            row[split_column] if split_column else ("test" if row[video_column] in drawn[label] else "train")
        )
        path = PurePosixPath(video).as_posix().removeprefix("/")
        entries.append(VideoEntry((without_ending(path),), path, label, split, label or None, row["line"]))
    labels = sorted(videos_of) if label_column else []
    return Annotations(name, class_texts(labels, text_rule, exceptions={}), entries)


def _read_rows(file: Path, columns: list[str], delimiter: str) -> list[dict[str, str]]:
    rows = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = header_reader(lines, file, delimiter)
            known = reader.fieldnames or []
            for column in columns:
                if column not in known:
                    hint = nearest(column, known) or f"; it has {', '.join(known) or 'none'}"
                    raise FeatxError(f"{file}: no column '{column}'{hint}")
            for row in reader:
                place = f"{file}:{reader.line_num}"
                cells = {column: (row[column] or "").strip() for column in columns}
                for column, cell in cells.items():
                    if not cell:
                        raise FeatxError(f"{place}: column '{column}' is empty")
                rows.append({**cells, "line": place})
    except (OSError, UnicodeDecodeError, csv.Error, TypeError) as error:
        raise FeatxError(f"{file}: cannot read it as CSV ({error})") from error
    if not rows:
        raise FeatxError(f"{file}: no row below the header")
    return rows
