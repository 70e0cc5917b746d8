"""Scoring several runs, whatever their task: their results, and the tables that show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.scoring.results import Results, write_results
from featx.settings import SomeSettings, gather

from .report.table import Table
from .run.settings import EvalSettings, LocaliseSettings, RetrieveSettings

OnDone = Callable[[Path], None]


@dataclass(frozen=True)
class Scored:
    """Results of runs, also written into their folders, and the tables that show them, the main one first."""

    results: list[Results]
    tables: list[Table]


def chosen_settings(model: type[SomeSettings], given: dict[str, Any], what: str) -> SomeSettings:
    """Returns the settings of one kind of evaluation.

    Raises:
        FeatxError: If an option of another kind is among them.
    """
    strange = [name for name in given if model.current_name(name) not in model.model_fields]
    if strange:
        raise FeatxError(f"--{strange[0].replace('_', '-')}: is not for {what}")
    return gather(model, None, given, [])


def score_runs(
    runs: list[Path], given: dict[str, Any], on_done: OnDone, save_predictions: Path | None = None
) -> Scored:
    """Scores runs of one task on a split.

    Args:
        runs: Folders.
        given: Settings of the kind of evaluation that their task has.
        on_done: Is called with each run that is done.
        save_predictions: Recognition: Parquet file for what the only run says of each video.

    Raises:
        FeatxError: If runs and settings do not go together.
    """
    from .run.runs import one_task

    task = one_task(runs)
    if task != "recognition" and save_predictions:
        raise FeatxError("--save-predictions: is for recognition")
    if task == "localisation":
        return _localisation(runs, chosen_settings(LocaliseSettings, given, "localisation runs"), on_done)
    if task == "retrieval":
        return _retrieval(runs, chosen_settings(RetrieveSettings, given, "retrieval runs"), on_done)
    settings = chosen_settings(EvalSettings, given, "recognition runs")
    return _recognition(runs, settings, on_done, save_predictions)


def _recognition(
    runs: list[Path], settings: EvalSettings, on_done: OnDone, save_predictions: Path | None
) -> Scored:
    from .recognition.predictions import check_parquet, write_predictions
    from .recognition.runs import evaluate
    from .report.rows import recognition_table

    if save_predictions is not None:
        check_parquet(save_predictions, len(runs))
    all_results = []
    for run in runs:
        scored = evaluate(run, settings)
        write_results(scored.results, run)
        if save_predictions is not None:
            write_predictions(scored, save_predictions)
        all_results.append(scored.results)
        on_done(run)
    return Scored(all_results, [recognition_table(all_results)])


def _retrieval(runs: list[Path], settings: RetrieveSettings, on_done: OnDone) -> Scored:
    from .report.retrieval_rows import retrieval_table
    from .retrieval.runs import evaluate_retrieval

    all_results = []
    for run in runs:
        for results in evaluate_retrieval(run, settings):
            write_results(results, run)
            all_results.append(results)
        on_done(run)
    return Scored(all_results, [retrieval_table(all_results)])


def _localisation(runs: list[Path], settings: LocaliseSettings, on_done: OnDone) -> Scored:
    from featx.localisation.detections_file import write_detections

    from .localisation.runs import evaluate
    from .localisation.timeline import write_timelines
    from .report.localisation_rows import localisation_table
    from .report.localisation_tables import class_table, errors_table
    from .report.table import with_notes

    if settings.save_detections and len(runs) > 1:
        raise FeatxError(f"--save-detections {settings.save_detections}: takes one RUN, not {len(runs)}")
    all_results, notes, more = [], [], []
    for run in runs:
        localised = evaluate(run, settings)
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
        on_done(run)
    table = with_notes(localisation_table(all_results), list(dict.fromkeys(notes)))
    return Scored(all_results, [table, *more])
