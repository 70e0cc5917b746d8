"""`featx extract`: runs the frozen CLIP image encoder over videos, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.errors import PartialFailure
from featx.settings import gather, with_options
from featx.signals import interruptible

from .plan.settings import ExtractSettings

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@with_options(ExtractSettings)
def extract(
    videos: Annotated[
        list[Path], typer.Argument(help="Folders (searched recursively), video files, or manifests (.jsonl).")
    ],
    to: Annotated[Path, typer.Option("--to", help="Feature store to make or to go on with.")],
    recipe: Annotated[Path | None, typer.Option(help="TOML file with any of the settings below.")] = None,
    set: Annotated[
        list[str] | None, typer.Option("--set", help="key=value for any setting; wins over all else.")
    ] = None,
    **options: Any,
) -> None:
    """Computes the CLIP features of the frames of VIDEOS, by default of every frame, into a feature store.

    Run the same command again to go on after an interruption: videos that are in the store are not touched, videos
    that failed are tried again. Exit codes: 0 all is well, 2 wrong use, 3 some videos failed (see failures.jsonl in
    the store), 130 interrupted.
    """
    settings = gather(ExtractSettings, recipe, options, set or [])
    from .run import extract_videos

    with interruptible(f"stopped; every whole video is in {to}. Run the same command again to go on"):
        tally, failures_file = extract_videos(videos, to, settings)
    if tally.failed:
        raise PartialFailure(
            f"{tally.failed} videos failed (they are tried again next time); see {failures_file}"
        )
