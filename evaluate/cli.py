"""`featx eval`: scores runs on a split and prints them as the rows of one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.errors import FeatxError, Interrupted
from featx.evaluate.localisation_settings import DetectionSettings
from featx.evaluate.settings import EvalSettings
from featx.settings import gather, with_options

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@with_options(DetectionSettings)
@with_options(EvalSettings)
def evaluate(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders that featx train or featx baseline made; one row each."),
    ] = None,
    format: Annotated[
        str, typer.Option(help="How the table is printed: table, markdown, latex, csv, json, html.")
    ] = "table",
    save_predictions: Annotated[
        Path | None,
        typer.Option(help="Write id, label and scores of each video into this .parquet file (one RUN only)."),
    ] = None,
    **options: Any,
) -> None:
    """Scores RUNS on a split: top-1, top-5 and mean class accuracy; with --classes on seen or unseen classes.

    The results are also written into each run's folder as results-DATASET-SPLIT.json. With --detections and
    --ground-truth a file of detections is scored instead: average precision, or with --proposals average recall.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if given.keys() & DetectionSettings.model_fields.keys() - EvalSettings.model_fields.keys() or not runs:
        _check_alone(runs or [], save_predictions, given)
        _print_detections(gather(DetectionSettings, None, given, []), format)
        return
    settings = gather(EvalSettings, None, options, [])
    from featx.evaluate.predictions import check_parquet, write_predictions
    from featx.evaluate.recognition import evaluate as evaluate_recognition
    from featx.evaluate.rows import recognition_table
    from featx.evaluate.tables import check_format, render
    from featx.results import write_results

    check_format(format)
    if save_predictions is not None:
        check_parquet(save_predictions, len(runs))
    all_results = []
    try:
        for run in runs:
            scored = evaluate_recognition(run, settings)
            write_results(scored.results, run)
            if save_predictions is not None:
                write_predictions(scored, save_predictions)
            all_results.append(scored.results)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped after {len(all_results)} of {len(runs)} runs") from None
    print(render(recognition_table(all_results), format))


def _check_alone(runs: list[Path], save_predictions: Path | None, given: dict[str, Any]) -> None:
    """Refuses what is about runs beside a file of detections."""
    if "detections" not in given:
        some = [f"--{name.replace('_', '-')}" for name in given if name not in EvalSettings.model_fields]
        raise FeatxError(f"{some[0]}: goes with --detections" if some else "give RUNS, or --detections FILE")
    about_runs = [name for name in given if name not in DetectionSettings.model_fields]
    if runs or save_predictions or about_runs:
        word = runs[0] if runs else f"--{(about_runs or ['save_predictions'])[0].replace('_', '-')}"
        raise FeatxError(f"{word}: is about runs; --detections scores a file")


def _print_detections(settings: DetectionSettings, format: str) -> None:
    from featx.evaluate.localisation_detections import evaluate_detections
    from featx.evaluate.localisation_tables import render_all
    from featx.evaluate.tables import check_format

    check_format(format)
    print(render_all(evaluate_detections(settings), format))
