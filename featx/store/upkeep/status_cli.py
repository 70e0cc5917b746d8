"""`featx store status`: how far the machines are that work on a store."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Annotated

import typer

from featx.errors import printable
from featx.help_pages import CommandLine
from featx.store.upkeep.living_cli import Commands

app = CommandLine()


@app.command(rich_help_panel=Commands.SHARED)
def status(
    store: Annotated[str, typer.Argument(help="Store with a plan, made by featx plan: a folder or a URL.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures and failures as JSON.")] = False,
) -> None:
    """Prints how far the machines are that fill STORE by a plan: parts, speed, time left, failures, who works on what.

    Examples:
        featx store status /shared/features
        featx store status s3://bucket/k700 --json
    """
    from featx.store.backends.open import open_backend
    from featx.store.parts.status import lines_of, status_of

    found = status_of(open_backend(store))
    if as_json:
        content = {
            "parts": found.plans.parts,
            "videos": found.plans.videos,
            "done": [dataclasses.asdict(part) for part in found.done],
            "claims": {number: dataclasses.asdict(claim) for number, claim in found.claims.items()},
            "rows_a_second": found.rows_a_second,
            "seconds_left": found.seconds_left,
        }
        print(json.dumps(content, indent=2))
        return
    for line in lines_of(found, time.time()):
        print(printable(line))
