"""Errors that a user can cause, each with the exit code that the command line ends with."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class FeatxError(Exception):
    """A problem the user can mend: the message names the file or flag and the way out."""

    exit_code = 2


class PartialFailure(FeatxError):
    """The command did its work, but some videos failed; they are listed in a file."""

    exit_code = 3


class ProblemsFound(FeatxError):
    """A command that looks for problems found some; they are on standard output."""

    exit_code = 4


class Interrupted(FeatxError):
    """Stopped by Ctrl-C, SIGTERM or SIGHUP; what was whole is kept and the command can be repeated."""

    exit_code = 130


class FeatxWarning(UserWarning):
    """What a caller has to know beside the result: a text that was cut, classes that were matched by their texts."""


# What helps against errors of the system that a user can mend.
WAYS_OUT = {
    errno.ENOSPC: "the disk is full: make room and give the same command again",
    errno.EDQUOT: "the quota is used up: make room and give the same command again",
    errno.EFBIG: "files may not be that large here: raise the limit (ulimit -f) or choose another place",
    errno.EROFS: "it is on a read-only file system: choose another place",
    errno.EACCES: "you may not read or write it: change its permissions or choose another place",
    errno.EPERM: "you may not read or write it: change its permissions or choose another place",
}


def system_error_line(error: OSError) -> str:
    """Returns what the system refused, at which file, and what helps, as one line."""
    reason = error.strerror or str(error)
    place = error.filename or "standard output, or an open file"
    way_out = WAYS_OUT.get(error.errno or 0)
    return f"{place}: {reason}{f'; {way_out}' if way_out else ''}"


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
