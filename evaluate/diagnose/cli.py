"""`featx diagnose`: where a run goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.settings import gather, with_options
from featx.signals import interruptible

from ..run.settings import EvalSettings

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@with_options(EvalSettings)
def diagnose(
    run: Annotated[Path, typer.Argument(help="Folder that featx train or featx baseline made.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder for the files; else RUN/diagnosis-DATASET-SPLIT.")
    ] = None,
    **options: Any,
) -> None:
    """Says where RUN goes wrong, with the options of featx eval.

    Accuracy of each class, the most confused pairs, accuracy as a function of the number of clips, and the words that
    each learned prompt vector lies nearest to; all of it as CSV files, the confusion matrix also as a picture.
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
