"""Which videos of a store are gone from the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from featx.errors import FeatxError
from featx.store.failures import FailureList
from featx.store.index import StoreIndex
from featx.store.source_files import IMPORTED, is_gone, is_there


class Place(NamedTuple):
    """Where a video's file was: `path`, below `root` if that is known."""

    id: str
    path: str
    root: str | None


@dataclass
class Gone:
    """What is no longer on the disk.

    Attributes:
        videos: Ids of videos in the store.
        failures: Ids in the list of failures.
        looked_for: How many videos were looked for.
        unknown: How many were not, as nobody knows their folder.
    """

    videos: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    looked_for: int = 0
    unknown: int = 0


def find_gone(store: Path, index: StoreIndex, failures: FailureList, folder: Path | None) -> Gone:
    """Looks for the files of a store.

    Args:
        store: Its path, for messages.
        index: Its videos, with the columns ``path`` and ``root`` of `video_info`.
        failures: Its failures.
        folder: Only files that were below this folder, which may be gone itself; if none was, the files of folders
            that are not there any more, or of which the store knows no folder, are looked for in this one.

    Raises:
        FeatxError: If a whole folder is missing and was not named: its disk may not be mounted.
    """
    videos = [
        Place(*row) for row in zip(index.ids, index.video_info["path"], index.video_info["root"], strict=True)
    ]
    failed = [Place(each, failures[each].path, failures[each].root) for each in failures.ids]
    named = Path(os.path.realpath(folder)) if folder is not None else None
    known = [place for place in [*videos, *failed] if place.root is not None]
    if named is not None:
        known = [place for place in known if _file(place).is_relative_to(named)]
    if known:
        _check_roots(store, known, named)
        look_in = {place: [_file(place)] for place in known}
    elif named is not None:
        look_in = _where_they_moved([*videos, *failed], named)
        if not any(map(_is_there, look_in.values())):
            raise FeatxError(f"{named}: none of the videos of {store} was or is in this folder")
    else:
        raise FeatxError(
            f"{store}: does not know the folder of its videos; name it: featx store prune STORE FOLDER"
        )
    return Gone(
        [place.id for place in videos if place in look_in and not _is_there(look_in[place])],
        [place.id for place in failed if place in look_in and not _is_there(look_in[place])],
        sum(place in look_in for place in videos),
        sum(place.root is None for place in videos) if named is None else 0,
    )


def _file(place: Place) -> Path:
    return Path(os.path.normpath(Path(place.root or "", place.path)))


def _is_there(files: list[Path]) -> bool:
    return not all(map(is_gone, files))


def _check_roots(store: Path, places: Iterable[Place], named: Path | None) -> None:
    for root in sorted({place.root for place in places if place.root is not None}):
        if not is_there(Path(root)) and not (named and named.is_relative_to(root)):
            raise FeatxError(
                f"{root}: missing or empty (a disk that is not mounted?), so nothing of {store} was removed; if its "
                "videos are really gone, name that folder: featx store prune STORE FOLDER"
            )


def _where_they_moved(places: Iterable[Place], folder: Path) -> dict[Place, list[Path]]:
    """Returns where files can be whose folder is unknown, or not there any more, if that has become ``folder``."""
    there: dict[str, bool] = {}
    found = {}
    for place in places:
        if place.root is None:
            # An id need not be a path, and a path may have been that of another working directory.
            if not place.path.endswith(IMPORTED):
                found[place] = [folder / place.id, Path(place.path)]
        elif not there.setdefault(place.root, is_there(Path(place.root))):
            found[place] = [folder / place.path]
    return found
