"""Errors that a user can cause, each with the exit code that the command line ends with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FeatxError(Exception):
    """A problem the user can mend: the message names the file or flag and the way out."""

    exit_code = 2


class PartialFailure(FeatxError):
    """The command did its work, but some videos failed; they are listed in a file."""

    exit_code = 3


class Interrupted(FeatxError):
    """Stopped by Ctrl-C, SIGTERM or SIGHUP; what was whole is kept and the command can be repeated."""

    exit_code = 130


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns ``"; did you mean 'x'?"`` for the known word closest to ``word``, or an empty string."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def printable(text: object) -> str:
    """Returns text that any terminal can show on one line: control characters and broken UTF-8 as escapes."""
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "backslashreplace").decode()
        for character in str(text)
    )
