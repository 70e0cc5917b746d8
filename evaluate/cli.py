"""`featx eval`: scores runs on a split, or a file of detections, and prints them as the rows of one table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from featx.errors import FeatxError
from featx.help_pages import CommandLine
from featx.settings import with_options
from featx.signals import interruptible

from .localisation.settings import DetectionSettings
from .report.format_option import TableFormat
from .run.settings import EvalSettings, LocaliseSettings, RetrieveSettings

app = CommandLine()


@app.command()
@with_options(DetectionSettings)
@with_options(LocaliseSettings)
@with_options(RetrieveSettings)
@with_options(EvalSettings)
def evaluate(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders of runs of featx train or featx baseline. Each becomes a row of the table."
        ),
    ] = None,
    format: TableFormat = "table",
    save_predictions: Annotated[
        Path | None,
        typer.Option(
            help="Recognition: write id, label, predicted class and scores of each video into this "
            ".parquet file. With one RUN only."
        ),
    ] = None,
    **options: Any,
) -> None:
    """Scores RUNS on a split and prints the table.

    What is measured depends on the task that a run was trained for. Recognition: accuracy, with --classes of seen or
    unseen classes. Localisation: average precision; needs --proposals, which the run classifies. Retrieval: recall and
    ranks in both directions. The results are also written into each run's folder as results-DATASET-SPLIT.json.

    With --detections and --ground-truth a file of detections is scored instead of runs: average precision, or with
    --as-proposals average recall.

    Examples:
        featx eval runs/zero-shot runs/mine
        featx eval runs/mine --classes unseen --manifest all-classes.jsonl
        featx eval runs/segments --proposals proposals.jsonl
    """
    from .report.table import check_format, print_tables
    from .score import chosen_settings, score_runs

    check_format(format)
    given = {name: value for name, value in options.items() if value is not None}
    if "detections" in given or not runs:
        if runs or save_predictions:
            raise FeatxError(
                f"{runs[0] if runs else '--save-predictions'}: is about runs; --detections scores a file"
            )
        if "detections" not in given:
            raise FeatxError("give RUNS, or --detections FILE")
        _print_detections(chosen_settings(DetectionSettings, given, "--detections"), format)
        return
    with _counting(runs) as done:
        scored = score_runs(runs, given, done.append, save_predictions)
    print_tables(scored.tables, format)


@contextmanager
def _counting(runs: list[Path]) -> Iterator[list[Path]]:
    """Takes the runs that are done; after Ctrl-C says how many."""
    done: list[Path] = []
    with interruptible(lambda: f"stopped after {len(done)} of {len(runs)} runs"):
        yield done


def _print_detections(settings: DetectionSettings, format: str) -> None:
    from .localisation.files import evaluate_detections
    from .report.table import print_tables

    print_tables(evaluate_detections(settings), format)
