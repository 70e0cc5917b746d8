"""What a sweep learns and scores: the cells of its grid, and the runs that each is the mean of."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from featx.errors import FeatxError, nearest
from featx.settings import gather

from ..adapter.settings import TrainSettings
from ..engine.settings import SAME_IN_ALL_CELLS

Cell = dict[str, str]


@dataclass(frozen=True)
class GivenSettings:
    """The settings that all cells share, as they were given.

    Attributes:
        recipe: TOML file.
        options: Command-line options, as for `featx train`.
        sets: Words of ``--set``.
    """

    recipe: Path
    options: dict[str, Any]
    sets: list[str]

    def of_run(self, cell: Cell, seed: int, *words: str) -> TrainSettings:
        """Returns the settings of one run of a cell, whose values win over all that is shared.

        Args:
            cell: Of the grid.
            seed: Of the run.
            words: Further ``key=value`` words.
        """
        own = [f"{key}={value}" for key, value in cell.items()]
        return gather(TrainSettings, self.recipe, self.options, [*self.sets, *words, *own, f"seed={seed}"])


@dataclass(frozen=True)
class ProposalSource:
    """Where the proposals of a sweep come from: one of the two.

    Attributes:
        recipe: Of a detector, which is learned on the same classes as the adapters, once for each class split.
        given: A proposals file, or `featx.localisation.proposals_file.GROUND_TRUTH`.
    """

    recipe: Path | None
    given: str | None

    @property
    def used(self) -> bool:
        """Whether the sweep is about localisation."""
        return self.recipe is not None or self.given is not None


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep is about.

    Attributes:
        given: Settings that all cells share.
        cells: See `read_grid`.
        seeds: Each cell is learned with seeds 0, 1, … ``seeds - 1``.
        split: That is scored.
        proposals: Localisation: whose are scored.
        class_splits: Open-set: each cell is learned on the seen classes of each of these splits and scored on the unseen.
    """

    given: GivenSettings
    cells: list[Cell]
    seeds: int
    split: str
    proposals: ProposalSource
    class_splits: Path | None = None

    def first(self) -> TrainSettings:
        """Returns the settings of the first run, which says what is the same in all of them."""
        return self.given.of_run(self.cells[0], 0)

    def runs_of(self, cell: Cell, folder: Path, class_splits: list[str]) -> list[SweepRun]:
        """Returns the runs that a cell is the mean of.

        Args:
            cell: The cell.
            folder: Of the cell.
            class_splits: Names of the class splits; none if there are none.
        """
        runs = []
        for name in class_splits or [""]:
            own = [f"class_split={self.class_splits}", f"class_split_name={name}"] if name else []
            for seed in range(self.seeds):
                settings = self.given.of_run(cell, seed, *own)
                of_split = folder / name if name else folder
                words = [name] if name else []
                words += [f"seed {seed}"] if self.seeds > 1 or not name else []
                runs.append(SweepRun(" ".join(words), of_split / f"seed-{seed}", settings))
        return runs


@dataclass(frozen=True)
class SweepRun:
    """One of the runs that a cell is the mean of."""

    name: str
    folder: Path
    settings: TrainSettings


def read_grid(words: list[str]) -> list[Cell]:
    """Returns the cells of ``key=value,value`` words: every combination, the last key changing fastest.

    Raises:
        FeatxError: For a key that is not a setting or that no grid may change, or without values.
    """
    axes: list[list[tuple[str, str]]] = []
    for word in words:
        key, equals, values = word.partition("=")
        name = TrainSettings.current_name(key)
        if name not in TrainSettings.model_fields:
            raise FeatxError(f"--grid {word}: unknown key '{key}'{nearest(key, TrainSettings.model_fields)}")
        if name in TrainSettings.marked(SAME_IN_ALL_CELLS):
            raise FeatxError(f"--grid {word}: {key} is the same in all cells; see --seeds and --set")
        some = list(dict.fromkeys(value for value in values.split(",") if value))
        if not equals or not some or name in [TrainSettings.current_name(axis[0][0]) for axis in axes]:
            raise FeatxError(f"--grid {word}: must be key=value,value, each key once")
        axes.append([(key, value) for value in some])
    return [dict(cell) for cell in product(*axes)]


def name_of(cell: Cell) -> str:
    """Returns the name of a cell's folder and of its results' variant."""
    return ",".join(f"{key}={value}" for key, value in cell.items())


def check_source(source: ProposalSource, settings: TrainSettings) -> None:
    """Refuses a sweep whose proposals cannot be had, before anything is learned.

    Raises:
        FeatxError: Naming the flag.
    """
    if settings.task != "localisation":
        if source.recipe or source.given:
            raise FeatxError("--detector and --test-proposals: are for task=localisation")
    elif (source.recipe is None) == (source.given is None):
        raise FeatxError("task=localisation: give either --detector RECIPE or --test-proposals FILE")
