"""`featx propose`: when something happens in the videos of a split, whatever it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.errors import FeatxError, Interrupted
from featx.settings import gather, with_options

from ..run.settings import ProposeSettings

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@with_options(ProposeSettings)
def propose(
    to: Annotated[Path, typer.Option("--to", help="Proposals file to write (.json or .parquet).")],
    run: Annotated[
        Path | None,
        typer.Argument(help="Folder of a run of featx train --task proposals. Leave out with --watershed."),
    ] = None,
    **options: Any,
) -> None:
    """Writes class-agnostic proposals (start, end and score) for every video of a split.

    Memory does not grow with the length of a video. If the manifest has segments, average recall is printed.
    """
    settings = gather(ProposeSettings, None, options, [])
    if (run is None) != settings.watershed:
        raise FeatxError("give either RUN, made by featx train --task proposals, or --watershed")
    from rich.console import Console
    from rich.progress import track

    from featx.localisation.proposals_file import ProposalsFile, check_ending, write_proposals

    from .propose import ask, recall_lines
    from .propose import propose as find

    check_ending(to, "--to")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    asked = ask(run, settings)
    try:
        videos = dict(track(find(asked), "proposals", total=len(asked.videos), console=console))
    except KeyboardInterrupt:
        raise Interrupted("stopped; nothing was kept") from None
    found = ProposalsFile(asked.header, videos)
    write_proposals(to, found)
    asked_for, missing = len(asked.videos) + len(asked.missing), len(asked.missing)
    listed = f", {missing} missing (no features): listed under 'missing' in the file" if missing else ""
    console.print(
        f"{to}: {len(found)} proposals of {len(videos)} of {asked_for} videos{listed}", markup=False
    )
    keep = int(asked.header.settings["keep"])
    for line in recall_lines(
        found, asked.videos, sorted({number for number in (10, 50, 100, keep) if number <= keep})
    ):
        console.print(line, markup=False)
