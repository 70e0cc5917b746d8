"""`featx sweep`: an ablation in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.completion import one_of
from featx.errors import FeatxError
from featx.help_pages import CommandLine
from featx.output.console import say
from featx.settings import complete_assignments, with_options
from featx.signals import interruptible

from ..adapter.settings import TrainSettings
from ..engine.recipe_files import find_recipe, recipe_names
from ..engine.settings import SAME_IN_ALL_CELLS

app = CommandLine()
GRID_WORDS = complete_assignments(TrainSettings, without=SAME_IN_ALL_CELLS)


@app.command()
@with_options(TrainSettings)
def sweep(  # typer makes an option of every parameter
    recipe: Annotated[
        Path,
        typer.Argument(
            help="TOML file with the settings that all cells share, or the name of a recipe that comes "
            "with featx.",
            autocompletion=one_of(recipe_names),
        ),
    ],
    to: Annotated[Path, typer.Option("--to", help="Folder of the sweep, with a run for each cell and seed.")],
    more: Annotated[
        list[str] | None,
        typer.Argument(help="More settings of the grid, such as layers=0,1.", autocompletion=GRID_WORDS),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            help="Values of a setting, such as prompts=2,4,8. More settings may follow.",
            autocompletion=GRID_WORDS,
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of seeds: each cell is trained with seeds 0, 1, …")
    ] = 1,
    split: Annotated[str, typer.Option(help="Split of the manifest to score.")] = "test",
    class_splits: Annotated[
        Path | None,
        typer.Option(
            "--class-splits",
            help="Open-set: class-splits file (.jsonl). Train on the seen classes of each of its splits "
            "and score the unseen ones.",
        ),
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(
            help="Localisation: recipe of the detector that makes the proposals. It is trained on the "
            "same classes as the adapter.",
            autocompletion=one_of(lambda: [name for name in recipe_names() if name.startswith("proposals-")]),
        ),
    ] = None,
    test_proposals: Annotated[
        str | None,
        typer.Option(
            help="Localisation: proposals file for the scored split, or ground-truth for the annotated "
            "segments. An alternative to --detector."
        ),
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any setting, as key=value, that all cells share. May be given several times.",
            autocompletion=complete_assignments(TrainSettings),
        ),
    ] = None,
    **options: Any,
) -> None:
    """Trains and scores RECIPE with every combination of some settings: --grid prompts=2,4,8 layers=0,1,2.

    Give the same command again to continue an interrupted sweep. The same folder may be given more cells.

    Examples:
        featx sweep hmdb51 --grid prompts=2,4,8 layers=0,1,2 --store features/hmdb51 --manifest hmdb51.jsonl --to runs/grid
        featx table ablation runs/grid
    """
    from .plan import GivenSettings, ProposalSource, SweepPlan, read_grid
    from .run import sweep as run_sweep

    if not grid and class_splits is None:
        raise FeatxError("--grid: is needed, such as --grid prompts=2,4,8 layers=0,1 (or --class-splits)")
    if class_splits is not None and (options.get("class_split") or options.get("seen_list")):
        raise FeatxError(
            "--class-splits: says which classes are seen; leave out --class-split and --seen-list"
        )
    if options.get("keep_state") is None:
        options["keep_state"] = False  # of many runs it would take more room than all else
    with interruptible(f"stopped; run the same command again to go on from what {to} holds"):
        cells = read_grid([*(grid or []), *(more or [])])
        shared, of_detector = find_recipe(recipe, "RECIPE"), find_recipe(detector, "--detector")
        assert shared is not None
        given = GivenSettings(shared, options, set or [])
        source = ProposalSource(of_detector, test_proposals)
        found = run_sweep(SweepPlan(given, cells, seeds, split, source, class_splits), to, say)
    kind = "open-set" if class_splits is not None else "ablation"
    if found[0].localisation is not None:
        kind = "localisation-open" if class_splits is not None else "localisation-closed"
    say(f"{to}: {len(found)} cells; show them with: featx table {kind} {to}")
