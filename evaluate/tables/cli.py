"""`featx table`: the benchmark tables, from results that were written before."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from featx.errors import printable

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def table(
    kind: Annotated[
        str,
        typer.Argument(
            help="closed-set, ablation, few-shot, open-set, localisation-closed, localisation-open or retrieval."
        ),
    ],
    runs: Annotated[list[Path], typer.Argument(help="Folders with results, or results files.")],
    format: Annotated[
        str, typer.Option(help="How the table is printed: table, markdown, latex, csv, json, html.")
    ] = "table",
    split: Annotated[
        str | None, typer.Option(help="Results of this split alone; else of every split that was scored.")
    ] = None,
) -> None:
    """Prints the results of RUNS as the rows of a table of the paper, whose numbers stand beside ours.

    Nothing is scored again. The paper's numbers stand beside ours only where data set, split, classes, CLIP and what
    was learned are the same; what is not known is a dash.
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
            print(printable(line), file=sys.stderr)
