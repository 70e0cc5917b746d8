"""`featx baseline`: what the method is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.settings import gather, with_options
from featx.signals import interruptible

from ..run.settings import BaselineSettings

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@with_options(BaselineSettings)
def baseline(
    method: Annotated[str, typer.Argument(help="zero-shot, linear-probe or nearest-mean.")],
    to: Annotated[Path, typer.Option("--to", help="Folder for the baseline and its results.")],
    template: Annotated[
        list[str] | None,
        typer.Option(
            help="Zero-shot: text around a class name, such as 'a video of a {}'; several are averaged, as CLIP does."
        ),
    ] = None,
    format: Annotated[
        str, typer.Option(help="How the table is printed: table, markdown, latex, csv, json, html.")
    ] = "table",
    **options: Any,
) -> None:
    """Makes a baseline, scores it, and prints its row.

    zero-shot: frozen CLIP with hand-written templates. linear-probe: logistic regression on the mean of each video's
    features. nearest-mean: the class whose training videos' mean is nearest. With --episodes each few-shot episode is
    learned and scored on its own. featx eval and featx table take the folder like that of any run.
    """
    settings = gather(BaselineSettings, None, {**options, "template": template or None}, [])
    from featx.files.lock import locked
    from featx.scoring.results import write_results

    from ..report.localisation_rows import localisation_table
    from ..report.retrieval_rows import retrieval_table
    from ..report.rows import recognition_table
    from ..report.table import check_format, print_tables, with_notes
    from .make import check_method, make_baseline

    check_format(format)
    with locked(to, "run"):
        with interruptible(f"{to}: stopped; nothing was scored"):
            results, notes = make_baseline(check_method(method), to, settings)
        write_results(results, to)
    tables = {"localisation": localisation_table, "retrieval": retrieval_table}
    table = tables.get(results.task, recognition_table)
    print_tables([with_notes(table([results]), notes)], format)
