"""The option --format of the commands that print tables."""

from __future__ import annotations

from typing import Annotated

import typer

from featx.completion import one_of

FORMAT_NAMES = (
    "table",
    "markdown",
    "latex",
    "csv",
    "json",
    "html",
)  # the keys of `FORMATS`, which loads more

TableFormat = Annotated[
    str,
    typer.Option(
        "--format",
        help="Output format: table, markdown, latex, csv, json or html.",
        autocompletion=one_of(FORMAT_NAMES),
    ),
]
