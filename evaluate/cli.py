"""`featx eval`: scores runs on a split, or a file of detections, and prints them as the rows of one table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from featx.errors import FeatxError
from featx.settings import SomeSettings, gather, with_options
from featx.signals import interruptible

from .localisation.settings import DetectionSettings
from .run.settings import EvalSettings, LocaliseSettings, RetrieveSettings

app = typer.Typer(rich_markup_mode=None, add_completion=False)


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
    format: Annotated[
        str, typer.Option(help="Output format: table, markdown, latex, csv, json or html.")
    ] = "table",
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
    """
    from .report.table import check_format

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
    from .run.runs import one_task

    task = one_task(runs)
    if task != "recognition" and save_predictions:
        raise FeatxError("--save-predictions: is for recognition")
    if task == "localisation":
        _score_localisation(runs, _settings(LocaliseSettings, given, "localisation runs"), format)
    elif task == "retrieval":
        _score_retrieval(runs, _settings(RetrieveSettings, given, "retrieval runs"), format)
    else:
        _score_recognition(runs, _settings(EvalSettings, given, "recognition runs"), format, save_predictions)


def _settings(model: type[SomeSettings], given: dict[str, Any], what: str) -> SomeSettings:
    """Returns the settings of one kind of evaluation; options of the others are refused."""
    strange = [name for name in given if model.current_name(name) not in model.model_fields]
    if strange:
        raise FeatxError(f"--{strange[0].replace('_', '-')}: is not for {what}")
    return gather(model, None, given, [])


def _score_recognition(
    runs: list[Path], settings: EvalSettings, format: str, save_predictions: Path | None
) -> None:
    from featx.scoring.results import write_results

    from .recognition.predictions import check_parquet, write_predictions
    from .recognition.runs import evaluate as evaluate_recognition
    from .report.rows import recognition_table
    from .report.table import print_tables

    if save_predictions is not None:
        check_parquet(save_predictions, len(runs))
    all_results = []
    with _counting(runs) as done:
        for run in runs:
            scored = evaluate_recognition(run, settings)
            write_results(scored.results, run)
            if save_predictions is not None:
                write_predictions(scored, save_predictions)
            all_results.append(scored.results)
            done.append(run)
    print_tables([recognition_table(all_results)], format)


def _score_retrieval(runs: list[Path], settings: RetrieveSettings, format: str) -> None:
    from featx.scoring.results import write_results

    from .report.retrieval_rows import retrieval_table
    from .report.table import print_tables
    from .retrieval.runs import evaluate_retrieval

    all_results = []
    with _counting(runs) as done:
        for run in runs:
            for results in evaluate_retrieval(run, settings):
                write_results(results, run)
                all_results.append(results)
            done.append(run)
    print_tables([retrieval_table(all_results)], format)


def _score_localisation(runs: list[Path], settings: LocaliseSettings, format: str) -> None:
    from featx.localisation.detections_file import write_detections
    from featx.scoring.results import write_results

    from .localisation.runs import evaluate as evaluate_localisation
    from .localisation.timeline import write_timelines
    from .report.localisation_rows import localisation_table
    from .report.localisation_tables import class_table, errors_table
    from .report.table import print_tables, with_notes

    if settings.save_detections and len(runs) > 1:
        raise FeatxError(f"--save-detections {settings.save_detections}: takes one RUN, not {len(runs)}")
    all_results, notes, more = [], [], []
    with _counting(runs) as done:
        for run in runs:
            localised = evaluate_localisation(run, settings)
            write_results(localised.results, run)
            scored = localised.scored
            if settings.save_detections:
                write_detections(
                    scored.detections, scored.truth.video_ids, scored.truth.labels, settings.save_detections
                )
            if settings.timeline:
                suffix = f".{settings.timeline_format}"
                notes += write_timelines(run, localised, settings.timeline, suffix, settings)
            all_results.append(localised.results)
            notes += localised.notes
            more += [class_table(scored)] if settings.per_class else []
            more += [errors_table(scored)] if settings.errors else []
            done.append(run)
    table = with_notes(localisation_table(all_results), list(dict.fromkeys(notes)))
    print_tables([table, *more], format)


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
