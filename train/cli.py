"""`featx train`: learns prompts and a temporal Transformer on cached features."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from featx.completion import one_of
from featx.errors import FeatxError
from featx.help_pages import CommandLine
from featx.output.console import say
from featx.settings import complete_assignments, gather_task, with_options
from featx.signals import interruptible

from .adapter.settings import TrainSettings
from .detector.settings import ProposalSettings
from .engine.recipe_files import find_recipe, recipe_names
from .engine.settings import LearnSettings
from .start import SETTINGS, start

app = CommandLine()


@app.command()
@with_options(TrainSettings, proposals=ProposalSettings)
def train(
    to: Annotated[
        Path, typer.Option("--to", help="Folder of the run, for adapter, log, curves and checkpoints.")
    ],
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with any of the settings below, or the name of a recipe that comes with "
            "featx. Options on the command line take precedence.",
            autocompletion=one_of(recipe_names),
        ),
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any setting as key=value. Takes precedence over options and recipe. May be given "
            "several times.",
            autocompletion=complete_assignments(TrainSettings, ProposalSettings),
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete what an earlier run left in the folder, and start over.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print settings, number of parameters, cost and what is missing. Do not train."
        ),
    ] = False,
    **options: Any,
) -> None:
    """Trains an adapter on a feature store and a manifest, or with --task proposals a proposal detector.

    With --prompts 0 --layers 0 nothing is trained: the run is zero-shot CLIP, evaluated by the same program.
    Give the same command again to continue an interrupted run.

    Examples:
        featx train --store features/mine --manifest mine.jsonl --to runs/mine
        featx train --recipe hmdb51 --store features/hmdb51 --manifest hmdb51.jsonl --to runs/hmdb51
        featx train --recipe hmdb51 --store features/hmdb51 --manifest hmdb51.jsonl --to runs/hmdb51 --dry-run
    """
    settings = gather_task(SETTINGS, find_recipe(recipe), options, set or [])
    if dry_run:
        _dry_run(settings)
        return
    with interruptible(f"stopped; run the same command again to go on from what {to} holds"):
        learned = start(settings, to, fresh, say)
    if os.environ.get("RANK", "0") == "0":
        for line in learned.lines:
            say(line)


def _dry_run(settings: LearnSettings) -> None:
    if isinstance(settings, ProposalSettings):
        from .detector.dry_run import dry_run_proposals

        report = dry_run_proposals(settings)
    else:
        from .adapter.dry_run import dry_run

        assert isinstance(settings, TrainSettings)
        report = dry_run(settings)
    print("\n".join(report.lines))
    if report.problems:
        for problem in report.problems:
            say(f"missing: {problem}")
        raise FeatxError(f"--dry-run: this run could not start; {len(report.problems)} problems stand above")
