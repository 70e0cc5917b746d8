"""How video files are called: the endings that folders are searched for, and names without them."""

from __future__ import annotations

import posixpath

ENDINGS = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".flv", ".wmv"),
        *(".3gp", ".3g2", ".ogv", ".gif", ".mts", ".vob", ".asf", ".divx"),
    }
)


def without_ending(path: str) -> str:
    """Returns a path without its video ending; a dot that begins no such ending is part of the name."""
    stem, ending = posixpath.splitext(path)
    return stem if ending.lower() in ENDINGS else path
