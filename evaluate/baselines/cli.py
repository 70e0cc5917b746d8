"""`featx baseline`: what the method is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.completion import one_of
from featx.help_pages import CommandLine
from featx.settings import gather, with_options
from featx.signals import interruptible

from ..report.format_option import TableFormat
from ..run.settings import BaselineSettings

app = CommandLine()
METHOD_NAMES = ("zero-shot", "linear-probe", "nearest-mean")  # `METHODS` loads more


@app.command()
@with_options(BaselineSettings)
def baseline(
    method: Annotated[
        str,
        typer.Argument(
            help="Which baseline: zero-shot, linear-probe or nearest-mean.",
            autocompletion=one_of(METHOD_NAMES),
        ),
    ],
    to: Annotated[
        Path, typer.Option("--to", help="Folder in which the baseline and its results are written.")
    ],
    template: Annotated[
        list[str] | None,
        typer.Option(
            help="Zero-shot: text around a class name, such as 'a video of a {}'. May be given several "
            "times; the text features are averaged, as in CLIP."
        ),
    ] = None,
    format: TableFormat = "table",
    **options: Any,
) -> None:
    """Makes a baseline, scores it, and prints the table.

    zero-shot: frozen CLIP with hand-written templates. linear-probe: logistic regression on the mean of each video's
    features. nearest-mean: the class whose mean training feature is nearest. With --episodes each few-shot episode is
    learned and scored on its own. featx eval and featx table accept the folder as a run.

    Examples:
        featx baseline zero-shot --store features/mine --manifest mine.jsonl --to runs/zero-shot
        featx baseline linear-probe --store features/mine --manifest mine.jsonl --to runs/probe
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
