"""`featx table`: the benchmark tables, from results that were written before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def table(
    kind: Annotated[
        str,
        typer.Argument(
            help="closed-set, ablation, few-shot, open-set, localisation-closed, localisation-open or retrieval."
        ),
    ],
    runs: Annotated[list[Path], typer.Argument(help="Folders with results.")],
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
    from featx.evaluate.tables.benchmarks import benchmark_table, choose_results
    from featx.evaluate.tables.kinds import check_kind
    from featx.evaluate.tables.table import check_format, print_tables
    from featx.results import read_results

    check_kind(kind)
    check_format(format)
    chosen = [one for run in runs for one in choose_results(kind, str(run), read_results(run), split)]
    print_tables([benchmark_table(kind, chosen)], format)
