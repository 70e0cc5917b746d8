"""Text of others in formats that are opened elsewhere: one writer for each, which no label and no file name can leave.

Line feeds, terminal escapes and other control characters are shown as escapes in all of them (`featx.errors.printable`).
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterable, Sequence

from featx.errors import printable

LATEX_SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # behind \\ it and the star would be an argument
    "*": "{*}",
}
# A character of a word that Markdown would take as its own, or HTML within it. An underscore inside a word is none.
MARKDOWN_SPECIAL = {character: f"\\{character}" for character in "\\`*[]|"} | {
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
}
FORMULA = tuple("=+-@")  # that a spreadsheet begins to compute at


def latex_text(text: str) -> str:
    """Returns text that LaTeX prints as it is."""
    return "".join(LATEX_SPECIAL.get(character, character) for character in printable(text))


def markdown_text(text: str) -> str:
    """Returns text that Markdown shows as it is, also within a table."""
    return "".join(MARKDOWN_SPECIAL.get(character, character) for character in printable(text))


def html_text(text: str) -> str:
    """Returns text that a browser shows as it is."""
    return html.escape(printable(text))


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Returns rows as CSV; text that a spreadsheet would take for a formula gets an apostrophe in front."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[_csv_cell(cell) for cell in row] for row in rows])
    return text.getvalue()


def _csv_cell(cell: object) -> object:
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return cell
    shown = printable(cell)
    return f"'{shown}" if shown.lstrip().startswith(FORMULA) and not _is_number(shown) else shown


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
