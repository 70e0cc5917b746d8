"""`featx train`: learns prompts and a temporal Transformer on cached features."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from featx.errors import FeatxError, Interrupted
from featx.settings import gather, with_options
from featx.train.settings import TrainSettings

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@with_options(TrainSettings)
def train(
    to: Annotated[Path, typer.Option("--to", help="Folder of the run: adapter, log, curves, checkpoints.")],
    recipe: Annotated[Path | None, typer.Option(help="TOML file with any of the settings below.")] = None,
    set: Annotated[
        list[str] | None, typer.Option("--set", help="key=value for any setting; wins over all else.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Throw away what a run left in the folder, and start over.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print settings, parameters, cost and what is missing; learn nothing."
        ),
    ] = False,
    **options: Any,
) -> None:
    """Learns an adapter from a feature store and a manifest.

    With --prompts 0 --layers 0 nothing is learned: that run is zero-shot CLIP, evaluated by the same program.
    An interrupted run goes on when the same command is given again.
    """
    settings = gather(TrainSettings, recipe, options, set or [])
    if dry_run:
        _dry_run(settings)
        return
    ranks = int(os.environ.get("WORLD_SIZE", "1"))  # set by torchrun
    if ranks > 1 and settings.devices not in (1, ranks):
        raise FeatxError(f"--devices {settings.devices}: torchrun started {ranks} processes; leave it out")
    from featx.train.launch import in_ranks
    from featx.train.recognition import train as train_recognition

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if settings.episodes is not None:
            from featx.train.episodes import train_episodes

            for line in train_episodes(settings, to, fresh, say).lines():
                say(line)
            return
        if settings.devices > 1 and ranks == 1:
            summary = in_ranks(settings.devices, train_recognition, settings, to, fresh, say)
        else:
            summary = train_recognition(settings, to, fresh, say)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; run the same command again to go on from what {to} holds") from None
    if os.environ.get("RANK", "0") == "0":
        from featx.model.adapter import ADAPTER_FILE

        for line in summary.lines(to / ADAPTER_FILE):
            say(line)


def _dry_run(settings: TrainSettings) -> None:
    from featx.train.dry_run import dry_run as look

    report = look(settings)
    print("\n".join(report.lines))
    if report.problems:
        for problem in report.problems:
            say(f"missing: {problem}")
        raise FeatxError(f"--dry-run: this run could not start; {len(report.problems)} problems stand above")


def say(line: str) -> None:
    """Prints a line for the user."""
    from rich.console import Console

    Console(stderr=True, soft_wrap=True, highlight=False).print(line, markup=False)
