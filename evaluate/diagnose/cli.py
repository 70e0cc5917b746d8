"""`featx diagnose`: where a run goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.help_pages import CommandLine
from featx.settings import gather, with_options
from featx.signals import interruptible

from ..run.settings import EvalSettings

app = CommandLine()


@app.command()
@with_options(EvalSettings)
def diagnose(
    run: Annotated[Path, typer.Argument(help="Folder of a run of featx train or featx baseline.")],
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", help="Folder in which the files are written. By default RUN/diagnosis-DATASET-SPLIT."
        ),
    ] = None,
    **options: Any,
) -> None:
    """Analyses the errors of RUN on a split.

    Writes CSV files: the accuracy of each class, the most confused pairs, the confusion matrix (also as a picture), the
    accuracy for several numbers of clips, and the words that are nearest to each learned prompt vector.

    Examples:
        featx diagnose runs/mine
    """
    settings = gather(EvalSettings, None, options, [])
    from ..report.table import render
    from .diagnosis import diagnose as write_diagnosis
    from .diagnosis import shortened

    with interruptible(f"{run}: stopped"):
        tables, folder = write_diagnosis(run, settings, to)
    for table in tables:
        print(render(shortened(table), "table"), end="\n\n")
    print(f"{folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}")
