"""`featx table`: the benchmark tables, from results that were written before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.completion import one_of
from featx.errors import printable
from featx.help_pages import CommandLine
from featx.output.console import say

from ..report.format_option import TableFormat

app = CommandLine()
KIND_NAMES = (  # the keys of `KINDS`, which loads more
    *("closed-set", "ablation", "few-shot", "open-set"),
    *("localisation-closed", "localisation-open", "retrieval"),
)


@app.command()
def table(
    kind: Annotated[
        str,
        typer.Argument(
            help="Which table: closed-set, ablation, few-shot, open-set, localisation-closed, "
            "localisation-open or retrieval.",
            autocompletion=one_of(KIND_NAMES),
        ),
    ],
    runs: Annotated[
        list[Path], typer.Argument(help="Folders with results files, or results files themselves.")
    ],
    format: TableFormat = "table",
    split: Annotated[
        str | None,
        typer.Option(help="Print only results on this split. By default those on every scored split."),
    ] = None,
) -> None:
    """Prints the results of RUNS as rows of a table of the paper, with the paper's numbers beside them.

    Nothing is scored again. The paper's numbers are printed only where data set, split, classes, CLIP and what was
    learned are the same. A dash stands for what is not known.

    Examples:
        featx table closed-set runs/zero-shot runs/mine
        featx table ablation runs/grid --format latex
    """
    from ..report.kinds import check_kind
    from ..report.table import check_format, print_tables, with_notes
    from .benchmarks import benchmark_table
    from .gather import gather_results

    check_kind(kind)
    check_format(format)
    gathered = gather_results(kind, runs, split)
    left_out = [f"left out: {reason}" for reason in gathered.left_out]
    print_tables([with_notes(benchmark_table(kind, gathered.chosen), left_out)], format)
    if format == "json":  # a program reads the table; people still have to see what was left out
        for line in left_out:
            say(printable(line))
