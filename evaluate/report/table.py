"""Tables as plain data, and the formats that they can be printed in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from featx.errors import FeatxError, nearest, printable
from featx.output.console import say
from featx.output.formats import csv_text, html_text, latex_text, markdown_text
from featx.output.terminal import fitted, terminal_width


@dataclass(frozen=True)
class PlusMinus:
    """A mean, and how far it may be off; programs get it as two columns."""

    mean: float
    plus_minus: float


Cell = str | int | float | PlusMinus | None
EMPTY = "\N{EM DASH}"  # a missing cell is said to be missing, never guessed


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
        return "| " + " | ".join(map(markdown_text, cells)) + " |"

    sides = ["---" if _holds_words(table, column) else "---:" for column in range(len(table.columns))]
    lines = [f"**{markdown_text(table.title)}**", "", line(table.columns), line(sides)]
    lines += [line([show(cell) for cell in row]) for row in table.rows]
    return "\n".join([*lines, "", *map(markdown_text, table.notes)])


def _latex(table: Table) -> str:
    def line(cells: list[str]) -> str:
        return " & ".join(map(latex_text, cells)) + r" \\"

    sides = "".join("l" if _holds_words(table, column) else "r" for column in range(len(table.columns)))
    lines = [f"% {printable(table.title)}", rf"\begin{{tabular}}{{{sides}}}", r"\hline"]
    lines += [line(table.columns), r"\hline", *(line([show(cell) for cell in row]) for row in table.rows)]
    return "\n".join([*lines, r"\hline", r"\end{tabular}", *(f"% {printable(note)}" for note in table.notes)])


def for_programs(table: Table) -> Table:
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
    table = for_programs(table)
    return csv_text([table.columns, *table.rows]).rstrip("\n")


def _json(table: Table) -> str:
    table = for_programs(table)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return json.dumps({"title": table.title, "rows": rows, "notes": table.notes}, indent=2)


def _html(table: Table) -> str:
    def line(cells: list[str], tag: str) -> str:
        sides = (
            "" if _holds_words(table, index) else ' style="text-align:right"' for index in range(len(cells))
        )
        drawn = (f"<{tag}{side}>{html_text(cell)}</{tag}>" for cell, side in zip(cells, sides, strict=True))
        return f"<tr>{''.join(drawn)}</tr>"

    return "\n".join(
        [
            "<table>",
            f"<caption>{html_text(table.title)}</caption>",
            f"<thead>{line(table.columns, 'th')}</thead>",
            "<tbody>",
            *(line([show(cell) for cell in row], "td") for row in table.rows),
            "</tbody>",
            "</table>",
            *(f"<p>{html_text(note)}</p>" for note in table.notes),
        ]
    )


def _terminal(table: Table) -> str:
    from .terminal_table import draw  # rich takes a tenth of a second

    if not table.rows:  # a frame around nothing looks like a mistake
        return "\n".join(map(printable, [f"{table.title}: none", *table.notes]))
    rows = [[printable(show(cell)) for cell in row] for row in table.rows]
    texts = [_holds_words(table, column) for column in range(len(table.columns))]
    columns = [printable(column) for column in table.columns]
    lines = draw(printable(table.title), columns, rows, texts, terminal_width())
    return "\n".join([*lines, *(fitted(printable(note)) for note in table.notes)])


FORMATS: dict[str, Callable[[Table], str]] = {
    "table": _terminal,
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


def render_all(tables: list[Table], format: str) -> str:
    """Returns several tables as text; as JSON, one object, or a list of them."""
    texts = [render(table, format) for table in tables]
    if format == "json" and len(texts) > 1:
        return json.dumps([json.loads(text) for text in texts], indent=2)
    return "\n\n".join(texts)


def print_tables(tables: list[Table], format: str) -> None:
    """Prints tables; as CSV, which has no place for notes, those are said on standard error."""
    print(render_all(tables, format))
    if format == "csv":
        for note in (note for table in tables for note in table.notes):
            say(printable(note))
