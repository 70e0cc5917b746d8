"""`featx sweep`: a recipe with every combination of some settings, several seeds each, in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from featx.errors import FeatxError
from featx.features.dataset import list_labelled
from featx.files.atomic import write_atomically
from featx.files.digest import read_json, write_json
from featx.files.lock import locked
from featx.manifest.class_lists import named_class_split
from featx.manifest.episodes import read_class_splits
from featx.manifest.videos import read_manifest
from featx.model.adapter import ADAPTER_FILE, load_adapter
from featx.output.formats import csv_text
from featx.scoring.compose import measure_items, results_of
from featx.scoring.results import Item, Results, TrainedOn, write_results
from featx.settings import MAY_CHANGE

from ..adapter.inputs import SharedResources
from ..adapter.learn import train
from ..adapter.scoring import score, scored_data, scored_model
from ..adapter.settings import TrainSettings
from ..engine.ranks import join_ranks
from ..engine.run_context import RunContext
from ..engine.run_identity import check_identity, digest_of, digest_of_videos
from ..engine.settings import OF_ONE_RUN
from .localisation import SweepSetup, score_localisation
from .plan import Cell, SweepPlan, SweepRun, check_source, name_of

TABLE_FILE = "sweep.csv"
SWEEP_FILE = "sweep.json"  # what all cells are about
WAY_OUT = "choose another --to"


def sweep(plan: SweepPlan, folder: Path, say: Callable[[str], None]) -> list[Results]:
    """Learns and scores every cell with every seed; what an interrupted sweep finished is taken as it is.

    Args:
        plan: What is learned and scored.
        folder: Gets a folder for each cell and seed, a results file for each cell, and `TABLE_FILE` with all cells.
        say: Prints a line for the user.

    Returns:
        One results a cell, the means over its seeds and class splits.

    Raises:
        FeatxError: As `featx train`; every cell's settings are checked before the first is learned.
    """
    first, source = plan.first(), plan.proposals
    if first.task == "retrieval":
        raise FeatxError("featx sweep: scores classes; learn runs of task=retrieval one by one")
    if first.episodes or first.devices > 1:
        raise FeatxError("featx sweep: learns on a split and in one process; leave out episodes and devices")
    check_source(source, first)
    whole = read_manifest(first.manifest)
    splits = read_class_splits(plan.class_splits, whole).splits if plan.class_splits else []
    names = [one.name for one in splits]
    runs = [plan.runs_of(cell, folder / name_of(cell), names) for cell in plan.cells]
    found = []
    with locked(folder, "sweep"), join_ranks(first.device) as ranks:
        shared = SharedResources(first)
        setup = SweepSetup(shared, plan, RunContext(folder, ranks, say))
        _record_identity(plan, first, shared, folder)
        shared.hold(_stored(shared, {first.train_split, plan.split}), first, ranks)
        for cell, of_cell in zip(plan.cells, runs, strict=True):
            results = _cell(name_of(cell), of_cell, setup)
            write_results(results, folder)
            found.append(results)
            metric, words = ("average_map", "average mAP") if source.used else ("top1", "top-1")
            mean, std = results.metrics[metric], results.spread[metric].std
            plus_minus = "" if std is None else f" ± {100 * std:.1f}"
            say(f"{folder / name_of(cell)}: {words} {100 * mean:.1f}%{plus_minus} ({len(of_cell)} runs)")
        write_atomically(folder / TABLE_FILE, _table(plan.cells, found).encode())
    return found


def _record_identity(plan: SweepPlan, first: TrainSettings, shared: SharedResources, folder: Path) -> None:
    """Refuses a folder whose cells are about other data, or differ in more than what the grids say."""
    file, split, source = folder / SWEEP_FILE, plan.split, plan.proposals
    class_splits = plan.class_splits.read_text(encoding="utf-8") if plan.class_splits else None
    known = read_json(file, WAY_OUT).get("grid", []) if file.exists() else []
    grid = sorted({first.current_name(name) for name in [*known, *plan.cells[0]]})
    of_cells = {*grid, *first.marked(OF_ONE_RUN), *first.marked(MAY_CHANGE)}
    now = {
        "settings": first.model_dump(mode="json", exclude=of_cells),
        "features": shared.store.header.fingerprint.model_dump(),
        "classes": shared.whole.header.classes,
        "scored split": split,
        "class splits": None if class_splits is None else digest_of(class_splits),
        "proposals": source.given or ("of a detector" if source.recipe else None),
        "list of videos": digest_of_videos(
            (video for video in shared.whole.videos if video.split in (first.train_split, split)),
            shared.store,
        ),
    }
    if file.exists():
        then = read_json(file, WAY_OUT)
        named_now = first.with_current_names(then["settings"])
        settings = {name: value for name, value in named_now.items() if name not in of_cells}
        check_identity(
            folder, "a sweep", then | {"settings": settings, "grid": grid}, now | {"grid": grid}, WAY_OUT
        )
    write_json(file, {**now, "grid": grid}, indent=2)


def _stored(shared: SharedResources, splits: set[str]) -> list[str]:
    """Returns the ids of the store's videos that belong to some splits, once."""
    ids = dict.fromkeys(video.stored_id for video in shared.whole.videos if video.split in splits)
    return [one for one in ids if one in shared.store]


def _table(cells: list[Cell], found: list[Results]) -> str:
    """Returns all cells as CSV, for spreadsheets: settings, seeds, and mean and deviation of every metric in percent."""
    metrics = list(found[0].metrics)
    columns = [column for name in metrics for column in (name, f"{name}_std")]
    rows: list[list[object]] = [[*cells[0], "seeds", "scored", "learned_parameters", *columns]]
    for cell, one in zip(cells, found, strict=True):
        values = [value for name in metrics for value in (one.metrics[name], one.spread[name].std)]
        numbers = ["" if value is None else round(100 * value, 4) for value in values]
        rows.append([*cell.values(), len(one.items), one.videos.scored, one.learned_parameters, *numbers])
    return csv_text(rows)


def _cell(variant: str, runs: list[SweepRun], setup: SweepSetup) -> Results:
    results = [
        _learn_and_score(run, replace(setup, shared=setup.shared.for_classes(run.settings))) for run in runs
    ]
    items = [_item(run.name, one) for run, one in zip(runs, results, strict=True)]
    missing = dict.fromkeys(one for result in results for one in result.videos.missing)
    measured = measure_items(items, missing).with_left_out(sum(one.videos.left_out for one in results))
    class_split = runs[0].settings.class_split
    splits = len({run.settings.class_split_name for run in runs})
    about = {
        "run": str(setup.context.folder),
        "variant": variant,
        "videos": measured.videos,
        "class_split": f"{class_split}#{splits} splits" if class_split else None,
        "metrics": measured.metrics,
        "spread": measured.spread,
        "items": measured.items,
    }
    return results[-1].model_copy(update=about)


def _learn_and_score(run: SweepRun, setup: SweepSetup) -> Results:
    settings, shared, split = run.settings, setup.shared, setup.plan.split
    train(settings, run.folder, say=setup.context.say, shared=shared)
    adapter, header = load_adapter(run.folder / ADAPTER_FILE, trust_code=settings.model_code is not None)
    if header.classes != shared.manifest.header.classes:
        raise FeatxError(f"{run.folder}: holds a run about other classes; choose another --to")
    manifest, unseen_of, left_out = shared.manifest, None, 0
    if settings.class_split:
        chosen = named_class_split(settings.class_split, settings.class_split_name, shared.whole)
        manifest, unseen_of = shared.whole.only(chosen.unseen), f"{settings.class_split}#{chosen.name}"
        left_out = len(shared.whole.split(split)) - len(manifest.split(split))
    if settings.task == "localisation":
        measured = score_localisation(adapter, manifest, settings, setup)
    else:
        videos = list_labelled(shared.store, manifest, split)
        measured = score(adapter, shared, manifest, videos, settings, setup.context.ranks)
    trained_on = TrainedOn(
        data_set=shared.manifest.header.name,
        manifest=str(settings.manifest),
        split=settings.train_split,
        classes=shared.manifest.labels,
    )
    results = results_of(
        settings.task,
        scored_model(adapter, run.folder, shared, trained_on),
        scored_data(adapter, shared, manifest, split, unseen_of),
        measured.with_left_out(left_out),
    )
    write_results(results, run.folder)
    return results


def _item(name: str, one: Results) -> Item:
    return Item(name=name, scored=one.videos.scored, missing=len(one.videos.missing), metrics=one.metrics)
