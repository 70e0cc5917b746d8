"""`featx eval`: scores runs on a split, or a file of detections, and prints them as the rows of one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.errors import FeatxError, Interrupted
from featx.evaluate.localisation_settings import DetectionSettings
from featx.evaluate.settings import EvalSettings, LocaliseSettings, RetrieveSettings
from featx.settings import SomeSettings, gather, with_options

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@with_options(DetectionSettings)
@with_options(RetrieveSettings)
@with_options(LocaliseSettings)
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
        typer.Option(
            help="Recognition: write id, label and scores of each video into this .parquet file (one RUN only)."
        ),
    ] = None,
    **options: Any,
) -> None:
    """Scores RUNS on a split: accuracy, or for localisation average precision; with --classes on seen or unseen classes.

    Runs of task=retrieval: recall and ranks from text to video and from video to text.

    The results are also written into each run's folder as results-DATASET-SPLIT.json. With --detections and
    --ground-truth a file of detections is scored instead: average precision, or with --as-proposals average recall.
    """
    from featx.evaluate.tables import check_format

    check_format(format)
    given = {name: value for name, value in options.items() if value is not None}
    if "detections" in given or not runs:
        if runs or save_predictions:
            raise FeatxError(
                f"{runs[0] if runs else '--save-predictions'}: is about runs; --detections scores a file"
            )
        if "detections" not in given:
            raise FeatxError("give RUNS, or --detections FILE")
        _print_detections(_settings(DetectionSettings, given, "--detections"), format)
        return
    tasks = {_task_of(run, given): run for run in runs}
    if len(tasks) > 1:
        (one, first), (other, second) = list(tasks.items())[:2]
        raise FeatxError(f"{first} is about {one}, {second} about {other}; score them one after the other")
    if "retrieval" in tasks:
        if save_predictions:
            raise FeatxError("--save-predictions: is for recognition; sentences have no classes")
        _score_retrieval(runs, _settings(RetrieveSettings, given, "retrieval runs"), format)
    elif "localisation" in tasks:
        if save_predictions:
            raise FeatxError("--save-predictions: is for recognition; --save-detections writes detections")
        _score_localisation(runs, _settings(LocaliseSettings, given, "localisation runs"), format)
    else:
        _score_recognition(runs, _settings(EvalSettings, given, "recognition runs"), format, save_predictions)


def _settings(model: type[SomeSettings], given: dict[str, Any], what: str) -> SomeSettings:
    """Returns the settings of one kind of evaluation; options of the others are refused."""
    strange = [name for name in given if name not in model.model_fields]
    if strange:
        raise FeatxError(f"--{strange[0].replace('_', '-')}: is not for {what}")
    return gather(model, None, given, [])


def _task_of(run: Path, given: dict[str, Any]) -> str:
    """Returns what a run is about; of a baseline about classes proposals decide."""
    from featx.evaluate.baseline_file import BASELINE_FILE, read_baseline
    from featx.model.adapter import ADAPTER_FILE, read_header

    if (run / ADAPTER_FILE).exists():
        return read_header(run / ADAPTER_FILE).config.task
    if (run / BASELINE_FILE).exists() and read_baseline(run / BASELINE_FILE)[0].task == "retrieval":
        return "retrieval"
    return "localisation" if "proposals" in given else "recognition"


def _score_recognition(
    runs: list[Path], settings: EvalSettings, format: str, save_predictions: Path | None
) -> None:
    from featx.evaluate.predictions import check_parquet, write_predictions
    from featx.evaluate.recognition import evaluate as evaluate_recognition
    from featx.evaluate.rows import recognition_table
    from featx.evaluate.tables import render
    from featx.results import write_results

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
        raise _interrupted(len(all_results), len(runs)) from None
    print(render(recognition_table(all_results), format))


def _score_retrieval(runs: list[Path], settings: RetrieveSettings, format: str) -> None:
    from featx.evaluate.retrieval import evaluate_retrieval
    from featx.evaluate.retrieval_rows import retrieval_table
    from featx.evaluate.tables import render
    from featx.results import write_results

    of_runs = []
    try:
        for run in runs:
            of_runs.append(evaluate_retrieval(run, settings))
            for results in of_runs[-1]:
                write_results(results, run)
    except KeyboardInterrupt:
        raise _interrupted(len(of_runs), len(runs)) from None
    print(render(retrieval_table([one for some in of_runs for one in some]), format))


def _score_localisation(runs: list[Path], settings: LocaliseSettings, format: str) -> None:
    from featx.detections import write_detections
    from featx.evaluate.localisation import evaluate as evaluate_localisation
    from featx.evaluate.localisation_rows import localisation_table
    from featx.evaluate.localisation_tables import class_table, errors_table, render_all
    from featx.evaluate.tables import with_notes
    from featx.results import write_results

    if settings.save_detections and len(runs) > 1:
        raise FeatxError(f"--save-detections {settings.save_detections}: takes one RUN, not {len(runs)}")
    all_results, notes, more = [], [], []
    try:
        for run in runs:
            localised = evaluate_localisation(run, settings)
            write_results(localised.results, run)
            scored = localised.scored
            if settings.save_detections:
                write_detections(
                    scored.detections, scored.truth.video_ids, scored.truth.labels, settings.save_detections
                )
            all_results.append(localised.results)
            notes += localised.notes
            more += [class_table(scored)] if settings.per_class else []
            more += [errors_table(scored)] if settings.errors else []
    except KeyboardInterrupt:
        raise _interrupted(len(all_results), len(runs)) from None
    table = with_notes(localisation_table(all_results), list(dict.fromkeys(notes)))
    print(render_all([table, *more], format))


def _interrupted(done: int, asked: int) -> Interrupted:
    return Interrupted(f"stopped after {done} of {asked} runs")


def _print_detections(settings: DetectionSettings, format: str) -> None:
    from featx.evaluate.localisation_detections import evaluate_detections
    from featx.evaluate.localisation_tables import render_all

    print(render_all(evaluate_detections(settings), format))
