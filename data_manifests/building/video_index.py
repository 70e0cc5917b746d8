"""Which video files there are, by name, and a look-up of them for each annotation entry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from featx.errors import FeatxError
from featx.video.files import without_ending
from featx.video.folder import VideoFolder, search_folder

from .entries import VideoEntry
from .names import spelling

HIDDEN_WAY = "a hidden folder that is itself --videos is taken"
ENDING_WAY = "featx manifest csv takes any file that its table names with path and ending"


def video_folder(folder: Path) -> tuple[VideoFolder, list[str]]:
    """Walks once through a folder, and returns what may stand in a manifest, and notes about all else.

    Raises:
        FeatxError: If the folder is not there or cannot be read.
    """
    if not folder.is_dir():
        raise FeatxError(f"--videos {folder}: no such folder")
    below = search_folder(folder)
    notes = below.left_out(HIDDEN_WAY, ENDING_WAY)
    if below.linked_folders:
        notes.append(
            f"{len(below.linked_folders)} folders are symbolic links and were not entered, '{below.linked_folders[0]}' "
            "first; give the folder that they lead to as --videos"
        )
    unnameable = set(below.unnameable)
    if unnameable:
        notes.append(f"{len(unnameable)} video files have names that are not UTF-8; rename them")
    return replace(below, videos=[path for path in below.videos if path not in unnameable]), notes


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

    def find(self, entry: VideoEntry) -> list[str]:
        """Returns the files that fit an entry equally well, the first of them to be taken; none if it is missing."""
        ending = entry.path[len(without_ending(entry.path)) :]
        names = list(entry.names)
        if ending and not any(path.endswith(ending) for path in self._named(names[0], entry)):
            names.insert(0, names[0] + ending)  # "clip.264" may be called clip.264.mp4
        for name in names:
            if fitting := self._named(name, entry):
                return self._best(fitting, entry)
        return []

    def _named(self, name: str, entry: VideoEntry) -> list[str]:
        for known, wanted in ((self._by_name, name), (self._by_lower_name, name.casefold())):
            same_name = known.get(wanted.rsplit("/", 1)[-1], ())
            fitting = [path for path in same_name if self._fits(path, wanted, entry.folder)]
            if fitting:
                return fitting
        return []

    def _fits(self, path: str, wanted: str, folder: str) -> bool:
        if "/" in wanted:
            # the one may begin further up than the other: an absolute path in a table, a folder inside --videos
            file, entry = f"/{without_ending(path)}", f"/{wanted}"
            return file.endswith(entry) or entry.endswith(file)
        parents = {spelling(part) for part in path.split("/")[:-1]}
        return spelling(folder) in parents or not parents & self._class_folders

    def _best(self, paths: list[str], entry: VideoEntry) -> list[str]:
        """Keeps the files in the entry's class folder, with its ending, in its split's folder, as far as there are any."""
        ending = entry.path[len(without_ending(entry.path)) :]
        in_class_folder = [p for p in paths if spelling(entry.folder) in map(spelling, p.split("/")[:-1])]
        paths = in_class_folder or paths
        with_ending = [path for path in paths if path.endswith(ending)]
        paths = with_ending or paths
        in_split_folder = [path for path in paths if entry.split in path.split("/")[:-1]]
        return in_split_folder or paths
