"""The text of a help page: lines no longer than the page is wide, and nothing cut.

A word is never broken, so that every option can be read and copied as it is typed.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

WIDEST = 100  # columns that a page takes at most, of a terminal that has them
NARROWEST = 40  # columns below which lines are longer than the terminal
WIDEST_NAME = 30  # characters; a longer name has a line of its own
INDENT = "  "

Rows = list[tuple[str, str]]  # names (of options, arguments, commands), and what each does
Sections = Mapping[str, Rows]  # heading to the rows below it


def page_width(terminal_columns: int) -> int:
    """Returns how many characters a line of a page has at most."""
    return max(min(terminal_columns, WIDEST), NARROWEST)


def lay_out(usage: str, text: str, sections: Sections, examples: list[str], width: int) -> str:
    """Returns a help page.

    Args:
        usage: How the command is called.
        text: What it does; paragraphs are divided by empty lines.
        sections: What stands below; those without rows are left out.
        examples: Command lines.
        width: Characters that a line may have.
    """
    blocks = [_wrap(f"Usage: {usage}", width, hanging=len("Usage: "))]
    blocks += [
        _wrap(paragraph, width, indent=len(INDENT)) for paragraph in re.split(r"\n\s*\n", text.strip())
    ]
    for heading, rows in sections.items():
        if rows:
            blocks.append([f"{heading}:", *_two_columns(rows, width)])
    if examples:
        lines = [part for example in examples for part in continued(example, width - len(INDENT))]
        blocks.append(["Examples:", *(INDENT + line for line in lines)])
    return "\n\n".join("\n".join(block) for block in blocks if any(block))


def continued(example: str, width: int) -> list[str]:
    r"""Returns a command line as lines that a shell reads as one: broken before options, with ``\`` at the end."""
    if len(example) <= width:
        return [example]
    lines: list[str] = []
    for part in re.split(r" (?=--[a-z])", example):
        if lines and len(f"{lines[-1]} {part} \\") <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(f"    {part}" if lines else part)
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def _two_columns(rows: Rows, width: int) -> list[str]:
    names = [name for name, _ in rows]
    column = max((len(name) for name in names if len(name) <= WIDEST_NAME), default=WIDEST_NAME)
    left = len(INDENT) + column + 2
    lines = []
    for name, text in rows:
        first, *rest = _wrap(text, width, indent=left) or [""]
        if len(name) > column:
            lines += [INDENT + name, first]
        else:
            lines.append(f"{INDENT}{name:<{column}}  {first.lstrip()}".rstrip())
        lines += rest
    return lines


def _wrap(text: str, width: int, indent: int = 0, hanging: int = 0) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()),
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_long_words=False,
        break_on_hyphens=False,
    )
