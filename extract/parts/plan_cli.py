"""`featx plan`: divides the videos of a store into parts for several machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.help_pages import CommandLine
from featx.settings import gather, with_options
from featx.signals import interruptible

from ..plan.settings import ExtractSettings

app = CommandLine()


@app.command()
@with_options(ExtractSettings)
def plan(
    videos: Annotated[
        list[Path], typer.Argument(help="Folders (searched recursively), video files, or manifests (.jsonl).")
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to", help="Store that machines fill with featx work: a folder that all of them see, or a URL."
        ),
    ],
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with any of the settings below. Options on the command line take precedence."
        ),
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any setting as key=value. Takes precedence over options and recipe. May be given several times.",
        ),
    ] = None,
    **options: Any,
) -> None:
    """Plans the extraction of VIDEOS by several machines: which videos belong to which part, and what the features are.

    Then run featx work with the same store on each machine. Settings about speed are those of featx work. Frames are
    estimated from the sizes of the files. If STORE has videos already, those are planned that are new, have changed, or
    failed; the features of changed files are no longer read from then on.

    Examples:
        featx plan videos --to /shared/features --model ViT-B/16
        featx plan k700.jsonl --to s3://bucket/k700 --part-frames 65536
    """
    settings = gather(ExtractSettings, recipe, options, set or [])
    from .planning import line_about, plan_store

    with interruptible("stopped; there is no plan yet"):
        planned = plan_store(videos, to, settings, settings.part_frames)
    print(line_about(planned, to))
