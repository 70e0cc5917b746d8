"""`featx store probe`: whether a folder or an object store can hold a store that several machines write."""

from __future__ import annotations

from typing import Annotated

import typer

from featx.errors import FeatxError
from featx.help_pages import CommandLine
from featx.signals import interruptible
from featx.store.upkeep.living_cli import Commands

app = CommandLine()


@app.command(rich_help_panel=Commands.SHARED)
def probe(
    place: Annotated[
        str,
        typer.Argument(
            metavar="URL", help="Folder, or URL of an object store: s3://BUCKET/PATH, gs://…, az://…."
        ),
    ],
    races: Annotated[int, typer.Option(min=1, help="How many times writers race for one key.")] = 10,
    writers: Annotated[int, typer.Option(min=2, help="How many writers take part in each race.")] = 16,
) -> None:
    """Finds out whether several machines can safely write below URL, and how long a write and a read take.

    Writers race to create the same object. A place that lets more than one of them succeed is refused. Everything that
    is written for it is removed again.

    Examples:
        featx store probe s3://bucket/features
        featx store probe /shared/features --writers 16
    """
    from featx.store.backends.open import open_backend
    from featx.store.backends.probe import probe as probe_backend

    with interruptible(f"stopped; what begins with featx-probe- in {place} may be deleted"):
        if place.startswith("memory://"):
            raise FeatxError(f"{place}: is gone when this command ends; give a folder or an object store")
        found = probe_backend(open_backend(place), races, writers)
    print(
        f"{place}: exactly one of {found.writers} writers won in each of {found.races} races; "
        f"a write takes {found.put_ms:.1f} ms, a read of 4 KiB {found.read_ms:.1f} ms"
    )
