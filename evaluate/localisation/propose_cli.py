"""`featx propose`: when something happens in the videos of a split, whatever it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.errors import FeatxError
from featx.help_pages import CommandLine
from featx.output.console import say, stderr_console
from featx.settings import gather, with_options
from featx.signals import interruptible

from ..run.settings import ProposeSettings

app = CommandLine()


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

    Examples:
        featx propose runs/detector --store features/mine --manifest segments.jsonl --to proposals.jsonl
    """
    settings = gather(ProposeSettings, None, options, [])
    if (run is None) != settings.watershed:
        raise FeatxError("give either RUN, made by featx train --task proposals, or --watershed")
    from rich.progress import track

    from featx.localisation.proposals_file import ProposalsFile, check_ending, write_proposals

    from .propose import open_setup, recall_lines
    from .propose import propose as find

    check_ending(to, "--to")
    setup = open_setup(run, settings)
    with interruptible("stopped; nothing was kept"):
        videos = dict(track(find(setup), "proposals", total=len(setup.videos), console=stderr_console()))
    found = ProposalsFile(setup.header, videos)
    write_proposals(to, found)
    total, missing = len(setup.videos) + len(setup.missing), len(setup.missing)
    listed = f", {missing} missing (no features): listed under 'missing' in the file" if missing else ""
    say(f"{to}: {len(found)} proposals of {len(videos)} of {total} videos{listed}")
    keep = int(setup.header.settings["keep"])
    for line in recall_lines(
        found, setup.videos, sorted({number for number in (10, 50, 100, keep) if number <= keep})
    ):
        say(line)
