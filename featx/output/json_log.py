"""Logs for programs: with ``FEATX_LOG=json`` every line on standard error is a JSON object.

Standard output, which holds what a command was asked for, is the same either way.
"""

from __future__ import annotations

import os
import sys
import warnings
from datetime import UTC, datetime
from typing import Any, Literal

from featx.errors import FeatxError

VARIABLE = "FEATX_LOG"
FORMATS = ("text", "json")
Level = Literal["info", "warning", "error"]


def is_on() -> bool:
    """Whether lines are JSON objects."""
    return os.environ.get(VARIABLE) == "json"


def choose(given: str | None) -> None:
    """Sets what ``--log-format`` says, for this process and those that it starts.

    Args:
        given: The option; None leaves it to the environment.

    Raises:
        FeatxError: If option or variable are not a format.
    """
    if given is not None:
        os.environ[VARIABLE] = given
    chosen = os.environ.get(VARIABLE) or "text"
    if chosen not in FORMATS:
        said = f"--log-format {given}" if given is not None else f"{VARIABLE}={chosen}"
        os.environ.pop(VARIABLE, None)
        raise FeatxError(f"{said}: must be {' or '.join(FORMATS)}")
    if is_on():
        warnings.showwarning = _show_warning


def write(level: Level, event: str, message: str, **figures: Any) -> None:
    """Writes one object: ``time`` (UTC), ``level``, ``event``, ``message``, and the figures of the event."""
    import json  # a help page needs none

    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"time": time, "level": level, "event": event, "message": message, **figures}
    print(json.dumps(line, ensure_ascii=True, default=str), file=sys.stderr, flush=True)


def _show_warning(message: Warning | str, category: type[Warning], *_place: Any, **_more: Any) -> None:
    write("warning", "warning", str(message), category=category.__name__)
