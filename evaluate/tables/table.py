"""Tables as plain data, and the formats that they can be printed in."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from featx.errors import FeatxError, nearest


@dataclass(frozen=True)
class PlusMinus:
    """A mean, and how far it may be off; programs get it as two columns."""

    mean: float
    plus_minus: float


Cell = str | int | float | PlusMinus | None
EMPTY = "\N{EM DASH}"  # a missing cell is said to be missing, never guessed
LATEX_SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


@dataclass(frozen=True)
class Table:
    """A table: floats are shown with one decimal; notes are printed below it."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    notes: list[str]


def with_notes(table: Table, notes: list[str]) -> Table:
    """Returns the table with further notes in front of its own."""
    return replace(table, notes=[*notes, *table.notes])


def show(cell: Cell) -> str:
    """Returns a cell as a reader sees it."""
    if cell is None:
        return EMPTY
    if isinstance(cell, float):
        return f"{cell:.1f}"
    if isinstance(cell, PlusMinus):
        return f"{cell.mean:.1f} ± {cell.plus_minus:.1f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def _holds_words(table: Table, column: int) -> bool:
    """Tells whether a column is read as text, and so stands to the left, not as numbers."""
    return any(character.isalpha() for row in table.rows for character in show(row[column]))


def _markdown(table: Table) -> str:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    sides = ["---" if _holds_words(table, column) else "---:" for column in range(len(table.columns))]
    lines = [f"**{table.title}**", "", line(table.columns), line(sides)]
    lines += [line([show(cell) for cell in row]) for row in table.rows]
    return "\n".join([*lines, "", *table.notes])


def _latex(table: Table) -> str:
    def line(cells: list[str]) -> str:
        return " & ".join("".join(LATEX_SPECIAL.get(c, c) for c in cell) for cell in cells) + r" \\"

    sides = "".join("l" if _holds_words(table, column) else "r" for column in range(len(table.columns)))
    lines = [f"% {table.title}", rf"\begin{{tabular}}{{{sides}}}", r"\hline"]
    lines += [line(table.columns), r"\hline", *(line([show(cell) for cell in row]) for row in table.rows)]
    return "\n".join([*lines, r"\hline", r"\end{tabular}", *(f"% {note}" for note in table.notes)])


def _for_programs(table: Table) -> Table:
    """Returns the table with a column of its own for what follows a ±."""
    columns: list[str] = []
    cells: list[list[Cell]] = [[] for _ in table.rows]
    for index, column in enumerate(table.columns):
        of_column = [row[index] for row in table.rows]
        columns.append(column)
        for row, cell in zip(cells, of_column, strict=True):
            row.append(cell.mean if isinstance(cell, PlusMinus) else cell)
        if any(isinstance(cell, PlusMinus) for cell in of_column):
            columns.append(f"{column} ±")
            for row, cell in zip(cells, of_column, strict=True):
                row.append(cell.plus_minus if isinstance(cell, PlusMinus) else None)
    return replace(table, columns=columns, rows=cells)


def _csv(table: Table) -> str:
    table = _for_programs(table)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([["" if cell is None else cell for cell in row] for row in table.rows])
    return text.getvalue().rstrip("\n")


def _json(table: Table) -> str:
    table = _for_programs(table)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return json.dumps({"title": table.title, "rows": rows, "notes": table.notes}, indent=2)


def _html(table: Table) -> str:
    def line(cells: list[str], tag: str) -> str:
        sides = (
            "" if _holds_words(table, index) else ' style="text-align:right"' for index in range(len(cells))
        )
        drawn = (f"<{tag}{side}>{html.escape(cell)}</{tag}>" for cell, side in zip(cells, sides, strict=True))
        return f"<tr>{''.join(drawn)}</tr>"

    return "\n".join(
        [
            "<table>",
            f"<caption>{html.escape(table.title)}</caption>",
            f"<thead>{line(table.columns, 'th')}</thead>",
            "<tbody>",
            *(line([show(cell) for cell in row], "td") for row in table.rows),
            "</tbody>",
            "</table>",
            *(f"<p>{html.escape(note)}</p>" for note in table.notes),
        ]
    )


def _rich(table: Table) -> str:
    from rich.console import Console
    from rich.table import Table as RichTable

    if not table.rows:  # a frame around nothing looks like a mistake
        return "\n".join([f"{table.title}: none", *table.notes])
    drawn = RichTable(title=table.title, title_justify="left")
    for index, column in enumerate(table.columns):
        drawn.add_column(column, justify="left" if _holds_words(table, index) else "right", no_wrap=True)
    for row in table.rows:
        drawn.add_row(*(show(cell) for cell in row))
    # As wide as it needs: a cell that is cut off is worse than a line that the terminal wraps.
    console = Console(width=10_000, record=True, file=io.StringIO(), markup=False)
    console.print(drawn)
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    return "\n".join([*lines, *table.notes])


FORMATS: dict[str, Callable[[Table], str]] = {
    "table": _rich,
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
    "json": _json,
    "html": _html,
}


def check_format(format: str) -> None:
    """Refuses an unknown format, before anything is computed.

    Raises:
        FeatxError: Naming the formats.
    """
    if format not in FORMATS:
        raise FeatxError(f"--format {format}: must be one of {', '.join(FORMATS)}{nearest(format, FORMATS)}")


def render(table: Table, format: str) -> str:
    """Returns the table as text."""
    return FORMATS[format](table)
