"""`featx train`: learns prompts and a temporal Transformer on cached features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.errors import Interrupted
from featx.settings import gather, with_options
from featx.train.settings import TrainSettings

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@with_options(TrainSettings)
def train(
    to: Annotated[Path, typer.Option("--to", help="Folder of the run: adapter, log, curves.")],
    recipe: Annotated[Path | None, typer.Option(help="TOML file with any of the settings below.")] = None,
    set: Annotated[
        list[str] | None, typer.Option("--set", help="key=value for any setting; wins over all else.")
    ] = None,
    **options: Any,
) -> None:
    """Learns an adapter from a feature store and a manifest.

    With --prompts 0 --layers 0 nothing is learned: that run is zero-shot CLIP, evaluated by the same program.
    """
    settings = gather(TrainSettings, recipe, options, set or [])
    from rich.console import Console

    from featx.train.recognition import train as train_recognition

    console = Console(stderr=True, soft_wrap=True)
    try:
        summary = train_recognition(settings, to)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped; {to} holds no adapter yet. Run the same command again to start afresh"
        ) from None
    console.print(
        f"{summary.adapter}: {summary.parameters:,} learned parameters, {summary.videos} videos, "
        f"{settings.steps if summary.parameters else 0} steps in {summary.seconds:.1f} s"
    )
    if summary.missing:
        file = to / "missing-train.txt"
        file.write_text("".join(f"{video_id}\n" for video_id in summary.missing), encoding="utf-8")
        console.print(
            f"{len(summary.missing)} videos of split '{settings.train_split}' have no features: {file}"
        )
    if summary.truncated:
        console.print(
            f"{len(summary.truncated)} class texts were too long and cut, '{summary.truncated[0]}' first"
        )
