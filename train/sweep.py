"""`featx sweep`: a recipe with every combination of some settings, several seeds each, in one process."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

from featx.dataset import list_labelled
from featx.errors import FeatxError, nearest
from featx.model.adapter import ADAPTER_FILE, load_adapter
from featx.results import Item, Results, TrainedOn, Videos, summarise, write_results
from featx.settings import gather
from featx.train.inputs import Basis
from featx.train.ranks import Ranks, join_ranks
from featx.train.recognition import train
from featx.train.scoring import Scored, results_of, score
from featx.train.settings import TrainSettings

# What all cells share, or what --seeds is for.
FIXED = {
    "task", "store", "manifest", "train_split", "class_split", "class_split_name", "seen_list", "episodes", "model",
    "seed", "device", "devices",
}  # fmt: skip
Cell = dict[str, str]


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
) -> list[Results]:
    """Learns and scores every cell with every seed; what an interrupted sweep finished is taken as it is.

    Args:
        recipe: TOML file.
        options: Command-line options, as for `featx train`.
        sets: Words of ``--set``; a cell's values win over them.
        cells: See `read_grid`.
        seeds: Each cell is learned with seeds 0, 1, … ``seeds - 1``.
        split: That is scored.
        folder: Gets a folder for each cell and seed, and a results file for each cell.
        say: Prints a line for the user.

    Returns:
        One results a cell, the means over its seeds.

    Raises:
        FeatxError: As `featx train`; every cell's settings are checked before the first is learned.
    """
    runs = [(cell, [_settings(recipe, options, sets, cell, seed) for seed in range(seeds)]) for cell in cells]
    first = runs[0][1][0]
    if first.task == "retrieval":
        raise FeatxError("featx sweep: scores classes; learn runs of task=retrieval one by one")
    if first.episodes or first.devices > 1:
        raise FeatxError("featx sweep: learns on a split and in one process; leave out episodes and devices")
    found = []
    with join_ranks(first.device) as ranks:
        basis = Basis(first)
        asked = list_labelled(basis.store, basis.manifest, split)
        learned = list_labelled(basis.store, basis.manifest, first.train_split)
        basis.hold(list(dict.fromkeys([*learned.stored, *asked.stored])), first, ranks)
        for cell, of_seeds in runs:
            results = _cell(cell, of_seeds, basis, split, folder, ranks, say)
            write_results(results, folder)
            found.append(results)
            top1, std = results.metrics["top1"], results.spread["top1"].std
            plus_minus = "" if std is None else f" ± {100 * std:.1f}"
            say(f"{folder / name_of(cell)}: top-1 {100 * top1:.1f}%{plus_minus} ({seeds} seeds)")
    return found


def _settings(recipe: Path, options: dict[str, Any], sets: list[str], cell: Cell, seed: int) -> TrainSettings:
    words = [f"{key}={value}" for key, value in cell.items()]
    return gather(TrainSettings, recipe, options, [*sets, *words, f"seed={seed}"])


def _cell(
    cell: Cell,
    of_seeds: list[TrainSettings],
    basis: Basis,
    split: str,
    folder: Path,
    ranks: Ranks,
    say: Callable[[str], None],
) -> Results:
    items = []
    for settings in of_seeds:
        run = folder / name_of(cell) / f"seed-{settings.seed}"
        train(settings, run, say=say, basis=basis)
        adapter, header = load_adapter(run / ADAPTER_FILE)
        if header.classes != basis.manifest.header.classes:
            raise FeatxError(f"{run}: holds a run about other classes; choose another --to")
        videos = list_labelled(basis.store, basis.manifest, split)
        scored = score(adapter, basis, basis.manifest, videos, settings, ranks)
        common = {
            "run": str(run),
            "split": split,
            "trained_on": TrainedOn(
                data_set=basis.manifest.header.name,
                manifest=str(settings.manifest),
                split=settings.train_split,
                classes=basis.manifest.labels,
            ),
        }
        one = results_of(
            adapter, basis, basis.manifest, settings, videos=scored.videos, metrics=scored.metrics, **common
        )
        write_results(one, run)
        items.append(_item(settings.seed, scored))
    metrics, spread = summarise(items)
    total = Videos(scored=sum(item.scored for item in items), missing=one.videos.missing)
    about = {"run": str(folder), "variant": name_of(cell), "videos": total}
    return one.model_copy(update={**about, "metrics": metrics, "spread": spread, "items": items})


def _item(seed: int, scored: Scored) -> Item:
    videos = scored.videos
    return Item(
        name=f"seed {seed}", scored=videos.scored, missing=len(videos.missing), metrics=scored.metrics
    )
