"""CSV files with a header, as people and spreadsheets write them."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from featx.errors import FeatxError


def header_reader(lines: Iterable[str], file: Path, delimiter: str = ",") -> csv.DictReader[str]:
    """Returns a reader of rows whose columns are named by the first line, without the blanks around the names.

    Args:
        lines: Of the file, opened with `utf-8-sig` and `newline=""`.
        file: For messages.
        delimiter: What separates columns.

    Raises:
        FeatxError: If two columns have one name, of which one would be lost.
    """
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    names = [name.strip() for name in reader.fieldnames or []]
    twice = [name for index, name in enumerate(names) if name and name in names[:index]]
    if twice:
        raise FeatxError(f"{file}:1: two columns are called '{twice[0]}'")
    reader.fieldnames = names
    return reader
