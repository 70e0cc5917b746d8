"""`featx doctor`: is this machine fit for featx?"""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from featx.errors import ProblemsFound, printable
from featx.help_pages import CommandLine
from featx.output.terminal import fitted
from featx.signals import interruptible

app = CommandLine()


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
    """Checks ffmpeg, GPU, CPU, memory, disk and CLIP's weights, and says what to do about what is wrong.

    Exit codes: 0 if nothing stands in the way (there may be warnings), 4 if something does.

    Examples:
        featx doctor
        featx doctor --store /data/features
    """
    from featx.doctor.check import State
    from featx.doctor.ffmpeg import check_ffmpeg
    from featx.doctor.gpu import check_gpus
    from featx.doctor.machine import check_machine
    from featx.doctor.place import check_place
    from featx.doctor.weights import check_weights

    with interruptible("stopped"):
        checks = [check_ffmpeg(), *check_gpus(), *check_machine(), *check_weights()]
        checks += check_place(store) if store is not None else []
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
