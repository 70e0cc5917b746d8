"""A table is no wider than the terminal, and nothing of it is lost."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

from hypothesis import given, settings
from hypothesis import strategies as st

from featx.evaluate.report.terminal_table import SAID_ONCE, draw
from featx.output.terminal import UNLIMITED

WORDS = st.text("abcdefgh ", max_size=40).map(str.strip)
NUMBERS = st.integers(0, 10**7).map(lambda number: f"{number:,}")


@st.composite
def tables(draw_: st.DrawFn) -> tuple[list[str], list[list[str]], list[bool]]:
    texts = draw_(st.lists(st.booleans(), min_size=1, max_size=8))
    columns = [f"h{number} {draw_(WORDS)}".strip() for number in range(len(texts))]
    row = st.tuples(*(WORDS if is_text else NUMBERS for is_text in texts)).map(list)
    return columns, draw_(st.lists(row, min_size=1, max_size=4)), texts


def letters(text: str) -> list[str]:
    return sorted(character for character in text if character.isalnum())


@settings(max_examples=200, deadline=None)
@given(tables(), st.integers(20, 140))
def test_every_line_fits_and_every_character_is_there(
    table: tuple[list[str], list[list[str]], list[bool]], width: int
) -> None:
    columns, rows, texts = table
    lines = draw("Title", columns, rows, texts, width)
    assert max(map(len, lines)) <= width
    once = next((n for n, line in enumerate(lines) if line.startswith(SAID_ONCE)), None)
    if once is not None:
        same = [n for n, is_text in enumerate(texts) if is_text and len({row[n] for row in rows}) == 1]
        assert len(rows) > 1 and same
        said = "".join(columns[n] + rows[0][n] for n in same)
        assert letters("".join(lines[once:])) == letters(SAID_ONCE + said)
        rest = [n for n in range(len(columns)) if n not in same]
        columns, texts = [columns[n] for n in rest], [texts[n] for n in rest]
        lines, rows = lines[:once], [[row[n] for n in rest] for row in rows]
    whole = "Title" + "".join(columns) + "".join(cell for row in rows for cell in row)
    as_list = next((line for line in lines if line == "1."), None)
    if as_list is None:
        assert letters("".join(lines)) == letters(whole)
        for row in rows:
            for cell, is_text in zip(row, texts, strict=True):
                assert is_text or any(f" {cell} " in line for line in lines)  # a number is never broken
    else:
        numbered = "".join(str(number) for number in range(1, len(rows) + 1))
        assert letters("".join(lines)) == letters(
            whole.removeprefix("Title") + "Title" + numbered + "".join(columns) * (len(rows) - 1)
        )


def test_what_is_the_same_in_all_rows_is_said_once_where_room_is_short() -> None:
    columns = ["data set", "run", "top-1 %"]
    rows = [["moving-shapes test", "learned", "25.0"], ["moving-shapes test", "zero-shot", "31.0"]]
    texts = [True, True, False]
    assert not any(SAID_ONCE in line for line in draw("T", columns, rows, texts, 50))
    lines = draw("T", columns, rows, texts, 30)
    assert lines[-2:] == ["in all rows: data set moving-", "shapes test"]
    assert "│ zero-shot │    31.0 │" in lines


def test_with_room_enough_a_row_is_a_line() -> None:
    rows = [["a text of some length", "1.0"], ["b", "22.5"]]
    lines = draw("T", ["run", "top-1 %"], rows, [True, False], UNLIMITED)
    assert len(lines) == 1 + 3 + 2 + 1
    assert "│ a text of some length │     1.0 │" in lines


SCRIPT = """
from featx.evaluate.report.table import Table, print_tables
print_tables([Table("T", ["run", "what was learned", "top-1 %"], [["runs/" + "long-" * 9, "prompts " * 6, 97.5]], [])], "table")
"""


def test_the_width_is_that_of_the_terminal() -> None:
    """On a real terminal of 60 columns; into a pipe nothing is broken."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=theirs, env=environment)
    os.close(theirs)
    printed = b""
    while chunk := _read(ours):
        printed += chunk
    assert process.wait() == 0
    lines = printed.decode().splitlines()
    assert len(lines) > 5 and max(map(len, lines)) <= 60
    piped = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment | {"COLUMNS": "60"}
    )
    assert "runs/" + "long-" * 9 in piped.stdout


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""
