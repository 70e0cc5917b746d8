"""`featx store index`: the index of a store as files, for many millions of videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.help_pages import CommandLine
from featx.signals import interruptible
from featx.store.upkeep.living_cli import Commands

app = CommandLine()


@app.command(rich_help_panel=Commands.SHARED)
def index(
    store: Annotated[Path, typer.Argument(help="Feature store: a folder or a URL.")],
) -> None:
    """Writes the index of STORE into it, so that a store of many millions of videos opens in seconds.

    Give the same command again after videos were added: only what is new is read. Readers add what is newer than the
    index themselves, but each on its own. Stores of up to a few million videos open quickly without.

    Examples:
        featx store index s3://bucket/web-clips
    """
    from featx.store.mirror import url_of
    from featx.store.upkeep.index import index_store

    place = url_of(store) or store
    with interruptible(f"stopped; {place} is as it was"):
        made, records = index_store(store)
    print(f"{place}: the index has {made.videos:,} videos; {records:,} records were read for it")
