"""Kinetics-400 and Kinetics-700: CSV files with label, YouTube id, start and end in whole seconds.

Ids may begin with `-`; labels hold commas, quotes and parentheses. A file is called `<id>_000010_000020.mp4`, or in
some copies by the bare id.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from featx.errors import FeatxError

from ..building.csv_file import header_reader
from ..building.entries import Annotations, VideoEntry, check_entries, find_split_files
from ..building.names import class_texts
from .info.read import DatasetInfo, read_dataset_info

COLUMNS = ("youtube_id", "time_start", "time_end")  # `label` is not there where labels were held back


def read_kinetics(data_set: str, folder: Path) -> Annotations:
    """Reads the CSV files of every split that is there.

    Args:
        data_set: `kinetics400` or `kinetics700`.
        folder: Folder of the official CSV files, or the folder above it.

    Raises:
        FeatxError: If there are none, or a row is not as it should be.
    """
    info = read_dataset_info(data_set)
    entries: list[VideoEntry] = []
    files, notes = find_split_files(folder, info.files, "CSV files")
    for split, file in files.items():
        entries += _read_csv(file, split, info)
    check_entries(entries, files.values())
    labels = sorted({entry.label for entry in entries if entry.label is not None})
    unlabelled = sum(entry.label is None for entry in entries)
    if unlabelled:
        notes.append(f"{unlabelled:,} videos have no label: that split cannot be scored")
    if len(labels) != info.class_count:
        notes.append(f"{len(labels)} of {info.class_count} classes are in {folder}")
    texts = class_texts(labels, info.class_text, info.class_texts)
    return Annotations(info.name, texts, entries, info.counts[1], [*notes, *info.notes])


def _read_csv(file: Path, split: str, info: DatasetInfo) -> Iterator[VideoEntry]:
    try:
        # utf-8-sig: some copies begin with a byte-order mark, which would become part of the first column's name
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = header_reader(lines, file)
            lacking = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
            if lacking:
                raise FeatxError(
                    f"{file}:1: no column {', '.join(lacking)}; the header must be label,youtube_id,…"
                )
            for row in reader:
                yield _entry(row, split, info, f"{file}:{reader.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FeatxError(f"{file}: cannot read it as CSV ({error})") from error


def _entry(row: dict[str, str | None], split: str, info: DatasetInfo, source: str) -> VideoEntry:
    youtube_id, label = (row.get("youtube_id") or "").strip(), (row.get("label") or "").strip()
    try:
        start, end = (int(float(row[name] or "")) for name in COLUMNS[1:])
    except ValueError:
        raise FeatxError(f"{source}: start and end must be seconds; is every comma inside quotes?") from None
    if not youtube_id or ("label" in row and not label):
        raise FeatxError(f"{source}: a row without {'an id' if not youtube_id else 'a label'}")
    name = f"{youtube_id}_{start:06d}_{end:06d}"
    path = f"{label}/{name}{info.ending}" if label else f"{name}{info.ending}"
    return VideoEntry((name, youtube_id), path, label, split, label or None, source)
