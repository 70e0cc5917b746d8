"""`featx sweep`: a recipe with every combination of some settings, several seeds each, in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from featx.errors import FeatxError, nearest
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
from featx.settings import gather

from ..adapter.inputs import Basis
from ..adapter.learn import train
from ..adapter.scoring import score, scored_data, scored_model
from ..adapter.settings import TrainSettings
from ..engine.claims import check_claim, digest_of, digest_of_videos
from ..engine.ranks import join_ranks
from ..engine.settings import MAY_CHANGE
from .localisation import ProposalSource, SweepSetup, check_source, score_localisation

# What all cells share, or what --seeds is for.
FIXED = {
    "task", "store", "manifest", "train_split", "class_split", "class_split_name", "seen_list", "episodes", "model",
    "seed", "device", "devices",
}  # fmt: skip
Cell = dict[str, str]
OF_RUNS = {"seed", "class_split", "class_split_name"}  # what the runs of a cell differ in
TABLE_FILE = "sweep.csv"
SWEEP_FILE = "sweep.json"  # what all cells are about
WAY_OUT = "choose another --to"


def read_grid(words: list[str]) -> list[Cell]:
    """Returns the cells of ``key=value,value`` words: every combination, the last key changing fastest.

    Raises:
        FeatxError: For a key that is not a setting or that no grid may change, or without values.
    """
    axes: list[list[tuple[str, str]]] = []
    for word in words:
        key, equals, values = word.partition("=")
        if key not in TrainSettings.model_fields:
            raise FeatxError(f"--grid {word}: unknown key '{key}'{nearest(key, TrainSettings.model_fields)}")
        if key in FIXED:
            raise FeatxError(f"--grid {word}: {key} is the same in all cells; see --seeds and --set")
        some = list(dict.fromkeys(value for value in values.split(",") if value))
        if not equals or not some or key in [axis[0][0] for axis in axes]:
            raise FeatxError(f"--grid {word}: must be key=value,value, each key once")
        axes.append([(key, value) for value in some])
    return [dict(cell) for cell in product(*axes)]


def name_of(cell: Cell) -> str:
    """Returns the name of a cell's folder and of its results' variant."""
    return ",".join(f"{key}={value}" for key, value in cell.items())


def sweep(
    recipe: Path,
    options: dict[str, Any],
    sets: list[str],
    cells: list[Cell],
    seeds: int,
    split: str,
    folder: Path,
    say: Callable[[str], None],
    class_splits: Path | None = None,
    detector: Path | None = None,
    test_proposals: str | None = None,
) -> list[Results]:
    """Learns and scores every cell with every seed; what an interrupted sweep finished is taken as it is.

    Args:
        recipe: TOML file.
        options: Command-line options, as for `featx train`.
        sets: Words of ``--set``; a cell's values win over them.
        cells: See `read_grid`.
        seeds: Each cell is learned with seeds 0, 1, … ``seeds - 1``.
        split: That is scored.
        folder: Gets a folder for each cell and seed, a results file for each cell, and `TABLE_FILE` with all cells.
        say: Prints a line for the user.
        class_splits: Open-set: each cell is learned on the seen classes of each of these splits and scored on the unseen.
        detector: Localisation: recipe of the detector whose proposals are scored, learned on the same classes.
        test_proposals: Localisation: instead of it a file of proposals, or ``ground-truth``.

    Returns:
        One results a cell, the means over its seeds and class splits.

    Raises:
        FeatxError: As `featx train`; every cell's settings are checked before the first is learned.
    """
    first = _settings(recipe, options, sets, cells[0], 0)
    if first.task == "retrieval":
        raise FeatxError("featx sweep: scores classes; learn runs of task=retrieval one by one")
    if first.episodes or first.devices > 1:
        raise FeatxError("featx sweep: learns on a split and in one process; leave out episodes and devices")
    source = ProposalSource(detector, test_proposals, folder)
    check_source(source, first)
    whole = read_manifest(first.manifest)
    names = [one.name for one in read_class_splits(class_splits, whole).splits] if class_splits else []
    runs = [
        _runs(recipe, options, sets, cell, seeds, folder / name_of(cell), class_splits, names)
        for cell in cells
    ]
    found = []
    with locked(folder, "sweep"), join_ranks(first.device) as ranks:
        shared = Basis(first)
        about = {
            "scored split": split,
            "class splits": digest_of(class_splits.read_text(encoding="utf-8")) if class_splits else None,
            "proposals": source.given or ("of a detector" if source.recipe else None),
        }
        _claim(first, shared, cells, split, about, folder)
        shared.hold(_stored(shared, {first.train_split, split}), first, ranks)
        setup = SweepSetup(shared, split, source, ranks, say)
        for cell, of_cell in zip(cells, runs, strict=True):
            results = _cell(cell, of_cell, setup)
            write_results(results, folder)
            found.append(results)
            metric, words = ("average_map", "average mAP") if source.used else ("top1", "top-1")
            mean, std = results.metrics[metric], results.spread[metric].std
            plus_minus = "" if std is None else f" ± {100 * std:.1f}"
            say(f"{folder / name_of(cell)}: {words} {100 * mean:.1f}%{plus_minus} ({len(of_cell)} runs)")
        write_atomically(folder / TABLE_FILE, _table(cells, found).encode())
    return found


def _claim(
    first: TrainSettings, shared: Basis, cells: list[Cell], split: str, about: dict[str, Any], folder: Path
) -> None:
    """Refuses a folder whose cells are about other data, or differ in more than what the grids say."""
    file = folder / SWEEP_FILE
    known = read_json(file, WAY_OUT).get("grid", []) if file.exists() else []
    grid = sorted({*known, *(cells[0] if cells else {})})
    of_cells = {*grid, *OF_RUNS, *MAY_CHANGE}
    now = {
        "settings": first.model_dump(mode="json", exclude=of_cells),
        "features": shared.store.header.fingerprint.model_dump(),
        "classes": shared.whole.header.classes,
        **about,
        "list of videos": digest_of_videos(
            (video for video in shared.whole.videos if video.split in (first.train_split, split)),
            shared.store,
        ),
    }
    if file.exists():
        then = read_json(file, WAY_OUT)
        settings = {name: value for name, value in then["settings"].items() if name not in of_cells}
        check_claim(
            folder, "a sweep", then | {"settings": settings, "grid": grid}, now | {"grid": grid}, WAY_OUT
        )
    write_json(file, {**now, "grid": grid}, indent=2)


@dataclass(frozen=True)
class SweepRun:
    """One of the runs that a cell is the mean of."""

    name: str
    folder: Path
    settings: TrainSettings


def _runs(
    recipe: Path,
    options: dict[str, Any],
    sets: list[str],
    cell: Cell,
    seeds: int,
    folder: Path,
    class_splits: Path | None,
    names: list[str],
) -> list[SweepRun]:
    runs = []
    for name in names or [""]:
        own = [f"class_split={class_splits}", f"class_split_name={name}"] if name else []
        for seed in range(seeds):
            settings = _settings(recipe, options, [*sets, *own], cell, seed)
            of_split = folder / name if name else folder
            words = [name] if name else []
            words += [f"seed {seed}"] if seeds > 1 or not name else []
            runs.append(SweepRun(" ".join(words), of_split / f"seed-{seed}", settings))
    return runs


def _stored(shared: Basis, splits: set[str]) -> list[str]:
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


def _settings(recipe: Path, options: dict[str, Any], sets: list[str], cell: Cell, seed: int) -> TrainSettings:
    words = [f"{key}={value}" for key, value in cell.items()]
    return gather(TrainSettings, recipe, options, [*sets, *words, f"seed={seed}"])


def _cell(cell: Cell, runs: list[SweepRun], setup: SweepSetup) -> Results:
    results = [
        _learn_and_score(run, replace(setup, shared=setup.shared.for_classes(run.settings))) for run in runs
    ]
    items = [_item(run.name, one) for run, one in zip(runs, results, strict=True)]
    missing = dict.fromkeys(one for result in results for one in result.videos.missing)
    measured = measure_items(items, missing).with_left_out(sum(one.videos.left_out for one in results))
    class_split = runs[0].settings.class_split
    splits = len({run.settings.class_split_name for run in runs})
    about = {
        "run": str(setup.source.folder),
        "variant": name_of(cell),
        "videos": measured.videos,
        "class_split": f"{class_split}#{splits} splits" if class_split else None,
        "metrics": measured.metrics,
        "spread": measured.spread,
        "items": measured.items,
    }
    return results[-1].model_copy(update=about)


def _learn_and_score(run: SweepRun, setup: SweepSetup) -> Results:
    settings, shared, split = run.settings, setup.shared, setup.split
    train(settings, run.folder, say=setup.say, basis=shared)
    adapter, header = load_adapter(run.folder / ADAPTER_FILE)
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
        measured = score(adapter, shared, manifest, videos, settings, setup.ranks)
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
