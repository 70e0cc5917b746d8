"""Which video files there are, by name: one walk through the folder, then a look-up for each annotation entry."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from featx.data_manifests.entries import Entry
from featx.data_manifests.names import spelling
from featx.errors import FeatxError
from featx.video_files import ENDINGS, without_ending


@dataclass(frozen=True)
class FilesBelow:
    """Video files below a folder, and what was not looked at.

    Attributes:
        paths: Paths within the folder, sorted; they are the ids that `featx extract FOLDER` gives.
        linked_folders: Symbolic links to folders: `featx extract` does not enter them either.
        unnameable: Files whose name is not UTF-8 and so cannot stand in a manifest.
    """

    paths: list[str]
    linked_folders: list[str]
    unnameable: list[str]


def files_below(folder: Path) -> FilesBelow:
    """Walks once through a folder.

    Raises:
        FeatxError: If the folder is not there or cannot be read.
    """
    if not folder.is_dir():
        raise FeatxError(f"--videos {folder}: no such folder")

    def refuse(error: OSError) -> None:
        raise FeatxError(f"{error.filename}: cannot read the folder ({error.strerror})") from error

    paths: list[str] = []
    linked: list[str] = []
    unnameable: list[str] = []
    start = str(folder)
    for parent, folders, files in os.walk(start, onerror=refuse):
        within = os.path.relpath(parent, start).replace(os.sep, "/") + "/" if parent != start else ""
        linked += [within + name for name in folders if Path(parent, name).is_symlink()]
        for name in files:
            if os.path.splitext(name)[1].lower() in ENDINGS:  # noqa: PTH122 a Path for each of 600,000 is slow
                (paths if _is_utf8(within + name) else unnameable).append(within + name)
    return FilesBelow(sorted(paths), sorted(linked), sorted(unnameable))


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class VideoIndex:
    """Finds the files that may belong to an annotation entry."""

    def __init__(self, paths: Iterable[str], class_folders: Iterable[str], ignore_case: bool = False) -> None:
        """Indexes files by their name without folder and ending.

        Args:
            paths: Paths of files within one folder.
            class_folders: Names of all classes: a file in the folder of another class is not taken.
            ignore_case: Whether a name that differs by case alone is taken when there is no equal one.
        """
        self._by_name: dict[str, list[str]] = {}
        for path in paths:
            self._by_name.setdefault(without_ending(path.rsplit("/", 1)[-1]), []).append(path)
        self._class_folders = {spelling(folder) for folder in class_folders}
        self._by_lower_name: dict[str, list[str]] = {}
        if ignore_case:
            for name, same in self._by_name.items():
                self._by_lower_name.setdefault(name.casefold(), []).extend(same)

    def find(self, entry: Entry) -> list[str]:
        """Returns the files that fit an entry equally well, the first of them to be taken; none if it is missing."""
        for name in entry.names:
            for known, wanted in ((self._by_name, name), (self._by_lower_name, name.casefold())):
                same_name = known.get(wanted.rsplit("/", 1)[-1], ())
                fitting = [path for path in same_name if self._fits(path, wanted, entry.folder)]
                if fitting:
                    return self._best(fitting, entry)
        return []

    def _fits(self, path: str, wanted: str, folder: str) -> bool:
        if "/" in wanted:
            # the one may begin further up than the other: an absolute path in a table, a folder inside --videos
            file, entry = f"/{without_ending(path)}", f"/{wanted}"
            return file.endswith(entry) or entry.endswith(file)
        parents = {spelling(part) for part in path.split("/")[:-1]}
        return spelling(folder) in parents or not parents & self._class_folders

    def _best(self, paths: list[str], entry: Entry) -> list[str]:
        """Keeps the files in the entry's class folder, with its ending, in its split's folder, as far as there are any."""
        ending = entry.path[len(without_ending(entry.path)) :]
        in_class_folder = [p for p in paths if spelling(entry.folder) in map(spelling, p.split("/")[:-1])]
        paths = in_class_folder or paths
        with_ending = [path for path in paths if path.endswith(ending)]
        paths = with_ending or paths
        in_split_folder = [path for path in paths if entry.split in path.split("/")[:-1]]
        return in_split_folder or paths
