"""Ids as names of files: which of them a file system cannot hold, found out before anything is written."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FileSystem:
    """What names a folder's file system takes.

    Attributes:
        name_bytes: The longest name, of a file or a folder.
        path_bytes: The longest path below the folder.
        folds: Whether it takes ``A`` and ``a`` for the same name.
    """

    name_bytes: int
    path_bytes: int
    folds: bool = False

    @staticmethod
    def of(folder: Path, file: str) -> FileSystem:
        """Asks for a folder's.

        Args:
            folder: It exists.
            file: Name of a file in it, with letters in it.
        """
        taken = len(os.fsencode(folder)) + 2  # a slash, and a zero at the end
        return FileSystem(
            name_bytes=os.pathconf(folder, "PC_NAME_MAX"),
            path_bytes=os.pathconf(folder, "PC_PATH_MAX") - taken,
            folds=(folder / file.swapcase()).exists(),
        )


def problem_of_names(
    ids: Iterable[str], ending: str, file_system: FileSystem, taken: Iterable[str]
) -> tuple[int, str]:
    """Finds ids that cannot be the names of files below one folder, each giving its id back.

    Args:
        ids: Ids of videos.
        ending: What is put behind each.
        file_system: Of the folder.
        taken: Names that other files in the folder have.

    Returns:
        How many there are, and which is the first and why; 0 and nothing if all can.
    """

    def key(path: str) -> str:
        return unicodedata.normalize("NFC", path).casefold() if file_system.folds else path

    ids = list(ids)
    owner: dict[str, str] = {key(name): "" for name in taken}  # file: its id
    folder_of: dict[str, str] = {}  # folder: an id with a file in it
    spelt: dict[str, str] = {}  # folder: as it was written first
    bad: dict[str, str] = {}
    for video_id in ids:
        path = f"{video_id}{ending}"
        if problem := _problem_of(video_id, path, file_system):
            bad[video_id] = problem
        elif key(path) in owner:
            bad[video_id] = _same_as(owner[key(path)])
        elif odd := [each for each in _folders(path) if spelt.setdefault(key(each), each) != each]:
            bad[video_id] = f"its folder {odd[0]} is {spelt[key(odd[0])]} here"
        else:
            owner[key(path)] = video_id
            folder_of.update((key(folder), video_id) for folder in _folders(path))
    for file, other in owner.items():
        if file in folder_of:
            bad[folder_of[file]] = "its folder has the name of " + (f"video '{other}'" if other else file)
    first = next((video_id for video_id in ids if video_id in bad), None)
    return len(bad), f"video '{first}': {bad[first]}" if first is not None else ""


def _same_as(other: str) -> str:
    return f"its file is that of video '{other}' here" if other else "its file has another use"


def _folders(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _problem_of(video_id: str, path: str, file_system: FileSystem) -> str:
    parts = video_id.split("/")
    if "\0" in video_id or not {"", ".", ".."}.isdisjoint(parts):
        return "it leads elsewhere, or has an empty part"
    try:
        sizes = [len(os.fsencode(part)) for part in path.split("/")]
    except UnicodeEncodeError as error:
        return f"a letter of it cannot be written ({error.reason})"
    if max(sizes) > file_system.name_bytes:
        return f"a name in it has {max(sizes)} bytes, {file_system.name_bytes} are possible here"
    if (size := sum(sizes) + len(sizes) - 1) > file_system.path_bytes:
        return f"it has {size} bytes, {file_system.path_bytes} are possible here"
    return ""
