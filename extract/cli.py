"""`featx extract`: runs the frozen CLIP image encoder over videos, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.errors import PartialFailure
from featx.help_pages import CommandLine
from featx.settings import complete_assignments, gather, with_options
from featx.signals import interruptible

from .plan.settings import ExtractSettings

app = CommandLine()


@app.command()
@with_options(ExtractSettings)
def extract(
    videos: Annotated[
        list[Path], typer.Argument(help="Folders (searched recursively), video files, or manifests (.jsonl).")
    ],
    to: Annotated[
        Path,
        typer.Option(
            "--to", help="Feature store to create or to add to: a folder, or a URL such as s3://bucket/mine."
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
            help="Any setting as key=value. Takes precedence over options and recipe. May be given "
            "several times.",
            autocompletion=complete_assignments(ExtractSettings),
        ),
    ] = None,
    **options: Any,
) -> None:
    """Computes the CLIP features of the frames of VIDEOS, by default of every frame, and writes them into a feature store.

    Give the same command again to continue after an interruption: videos in the store are not computed again, videos
    that failed are. Exit codes: 0 success, 2 wrong use, 3 some videos failed (see failures.jsonl in the store), 130
    interrupted.

    Examples:
        featx extract videos --to features/mine
        featx extract mine.jsonl --fps 2 --format hdf5 --to features/mine
        featx extract videos --model tiny --to features/try    # needs no download
        featx extract videos --to s3://bucket/mine
    """
    settings = gather(ExtractSettings, recipe, options, set or [])
    from featx.store.mirror import url_of

    from .run import extract_videos

    place = url_of(to) or to
    with interruptible(f"stopped; every whole video is in {place}. Run the same command again to go on"):
        tally, failures_file = extract_videos(videos, to, settings)
    if tally.failed:
        where = f"see {failures_file}" if failures_file else f"featx store status {place} lists them"
        raise PartialFailure(f"{tally.failed} videos failed (they are tried again next time); {where}")
