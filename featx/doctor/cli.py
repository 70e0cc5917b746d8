"""`featx doctor`: is this machine fit for featx?"""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from featx.doctor.check import Check, State, looked
from featx.errors import ProblemsFound, printable
from featx.help_pages import CommandLine
from featx.output.terminal import fitted
from featx.signals import interruptible

app = CommandLine()


def _look(module: str, function: str, *given: object) -> Check | list[Check]:
    """Runs a check; it is imported only then, as what it imports may be what is broken."""
    found: Check | list[Check] = getattr(importlib.import_module(f"featx.doctor.{module}"), function)(*given)
    return found


Look = Callable[[], Check | list[Check]]
LOOKS: list[tuple[str, Look]] = [
    ("packages", partial(_look, "packages", "check_packages")),
    ("ffmpeg", partial(_look, "ffmpeg", "check_ffmpeg")),
    ("GPU", partial(_look, "gpu", "check_gpus")),
    ("CPU cores", partial(_look, "machine", "check_cores")),
    ("memory", partial(_look, "machine", "check_memory")),
    ("shared memory", partial(_look, "machine", "check_shared_memory")),
    ("open files", partial(_look, "machine", "check_open_files")),
    ("temporary files", partial(_look, "disk", "check_temporary")),
    ("cache", partial(_look, "disk", "check_cache")),
    ("weights", partial(_look, "weights", "check_weights")),
]


@app.command()
def doctor(
    store: Annotated[
        str | None,
        typer.Option(
            help="Folder or URL (s3://, gs://, az://) of a store that you want to make: is it fit for one?"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Checks packages, ffmpeg, GPU, CPU, memory, disk and CLIP's weights, and says what to do about what is wrong.

    Exit codes: 0 if nothing stands in the way (there may be warnings), 4 if something does.

    Examples:
        featx doctor
        featx doctor --store /data/features
    """
    at_store: Look = partial(_look, "place", "check_place", store)
    looks = LOOKS if store is None else [*LOOKS, ("store", at_store)]
    with interruptible("stopped"):
        checks = [check for name, look in looks for check in looked(name, look)]
    if as_json:
        print(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    else:
        wide = max(len(check.name) for check in checks)
        for check in checks:
            print(fitted(f"{check.state:<8} {check.name:<{wide}}  {printable(check.found)}", wide + 11))
            if check.advice:
                print(fitted(f"{'':<{wide + 11}}→ {printable(check.advice)}", wide + 13))
    failures = [check.name for check in checks if check.state is State.FAILURE]
    if failures:
        raise ProblemsFound(f"{len(failures)} of {len(checks)} checks failed: {', '.join(failures)}")
