"""Drawing a table for a terminal: as wide as it needs, and no wider than the terminal.

A cell that is cut off is worse than a table that is higher, so nothing is: headings break between words, texts break
anywhere, numbers stay whole. Where even that is too wide, a text that is the same in all rows is said once, below the
table. Where that is still too wide, each row becomes a list of its cells.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable

NARROWEST_TEXT = 12  # characters to which a column of texts may shrink
SAID_ONCE = "in all rows:"
EDGES = 3  # characters beside a cell: blank, blank, line


def draw(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[bool], width: int
) -> list[str]:
    """Draws a table.

    Args:
        title: Above it.
        columns: C headings.
        rows: Rows of C cells.
        texts: Of each column, whether it is read as text; the others are numbers and stand to the right.
        width: Characters that a line may have.

    Returns:
        Its lines.
    """
    widths = _widths(columns, rows, texts, width - EDGES * len(columns) - 1)
    if widths is None:
        same = {n for n, is_text in enumerate(texts) if is_text and len({row[n] for row in rows}) == 1}
        if len(rows) < 2 or len(same) in (0, len(columns)):
            return _draw_rows(title, columns, rows, width)
        rest = [n for n in range(len(columns)) if n not in same]
        shorter = [[row[n] for n in rest] for row in rows]
        lines = draw(title, [columns[n] for n in rest], shorter, [texts[n] for n in rest], width)
        said_once = ", ".join(f"{columns[n]} {rows[0][n]}" for n in sorted(same))
        return lines + textwrap.wrap(f"{SAID_ONCE} {said_once}", width)
    drawn = RichTable(title=title, title_justify="left")
    for heading, chosen, is_text in zip(columns, widths, texts, strict=True):
        drawn.add_column(heading, justify="left" if is_text else "right", overflow="fold", width=chosen)
    for row in rows:
        drawn.add_row(*row)
    console = Console(width=width, record=True, file=io.StringIO(), markup=False, emoji=False)
    console.print(drawn)
    return [line.rstrip() for line in console.export_text().splitlines()]


def _widths(
    columns: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[bool], room: int
) -> list[int] | None:
    """Returns how wide each column is drawn, together at most ``room``; None if they cannot be so narrow.

    Headings of numbers are broken first, then the widest texts.
    """
    longest = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    widths = [max(length, cell_len(heading)) for length, heading in zip(longest, columns, strict=True)]
    least = [
        min(wide, NARROWEST_TEXT) if is_text else max(length, _longest_word(heading))
        for wide, length, heading, is_text in zip(widths, longest, columns, texts, strict=True)
    ]
    for number, is_text in enumerate(texts):
        if not is_text and sum(widths) > room:
            widths[number] = max(least[number], widths[number] - (sum(widths) - room))
    while sum(widths) > room:
        number = max(range(len(widths)), key=lambda n: widths[n] - least[n] and widths[n])
        if widths[number] == least[number]:
            return None
        widths[number] -= 1
    return widths


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _draw_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    lines = textwrap.wrap(title, width)
    for number, row in enumerate(rows, 1):
        lines += ["", f"{number}."]
        for heading, cell in zip(columns, row, strict=True):
            lines += textwrap.wrap(
                f"{heading}: {cell}", max(width, 4), initial_indent="  ", subsequent_indent="  "
            )
    return lines
