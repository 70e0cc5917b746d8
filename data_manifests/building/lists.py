"""The split lists of the method's authors: plain text, one entry a line, `train/split_0.list` and `test/split_0.list`.

Episode lists hold `class/video` without ending; the class is written with a space in some and an underscore in
others. Class lists hold class names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from featx.errors import FeatxError, nearest
from featx.files.atomic import is_comment
from featx.manifest.episodes import ClassSplit, Episode, class_split_problems, episode_problems
from featx.manifest.videos import Manifest
from featx.video.files import without_ending

from .draw import ids_by_label
from .entries import read_lines
from .names import LabelFinder


def find_lists(folder: Path) -> dict[str, dict[str, Path]]:
    """Returns the lists of each episode or class split, by name, as `{"split_0": {"train": …, "test": …}}`.

    Raises:
        FeatxError: If there are none.
    """
    found: dict[str, dict[str, Path]] = {}
    for part in ("train", "test"):
        if (folder / part).is_dir():
            for file in (folder / part).iterdir():
                if file.suffix == ".list":
                    found.setdefault(file.stem, {})[part] = file
    if not any("train" in files for files in found.values()):
        raise FeatxError(f"--lists {folder}: no train/*.list in this folder")
    return dict(sorted(found.items(), key=lambda item: _numbers_as_numbers(item[0])))


def _numbers_as_numbers(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _entries(file: Path) -> Iterator[tuple[int, str]]:
    """Yields number and text of every line that is neither blank nor a comment."""
    return ((number, line) for number, line in read_lines(file) if not is_comment(line))


class VideoFinder:
    """Finds the video that `class/video` means in a manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._file = manifest.file
        self._labels = manifest.header.classes
        self._finder = LabelFinder(manifest.header.classes)
        self._by_name: dict[str, dict[str, str]] = {label: {} for label in manifest.labels}
        # copies of UCF101 differ in case; a name that several videos have without it means none
        self._by_lower_name: dict[str, dict[str, str | None]] = {label: {} for label in manifest.labels}
        for video in manifest.videos:
            if video.label is not None:
                self._by_name[video.label].setdefault(_name(video.id), video.id)
                lower, known = _name(video.id).casefold(), self._by_lower_name[video.label]
                known[lower] = video.id if known.get(lower, video.id) == video.id else None

    def find(self, entry: str, place: str) -> tuple[str, str]:
        """Returns label and id.

        Raises:
            FeatxError: With the nearest name, if the manifest has no such class or no such video.
        """
        folder, slash, name = entry.rpartition("/")
        if not slash:
            raise FeatxError(f"{place}: must be class/video, not '{entry}'")
        label = self._finder.find(folder.rsplit("/", 1)[-1])
        if label is None:
            raise FeatxError(
                f"{place}: class '{folder}' is not in {self._file}{nearest(folder, self._labels)}"
            )
        known = self._by_name[label]
        found = known.get(name) or known.get(_name(name))  # "a.264" may be a.264.mp4
        found = found or self._by_lower_name[label].get(_name(name).casefold())
        if found is None:
            hint = nearest(_name(name), known)
            raise FeatxError(f"{place}: video '{name}' of class '{label}' is not in {self._file}{hint}")
        return label, found


def _name(path: str) -> str:
    return without_ending(path.rsplit("/", 1)[-1])


def read_episode_lists(folder: Path, manifest: Manifest, test_split: str) -> list[Episode]:
    """Reads episodes from a folder of lists.

    Args:
        folder: Folder with `train/` and, unless a whole split is the test, `test/`.
        manifest: The manifest that has the videos.
        test_split: Split that is tested, as a whole, where an episode has no test list.

    Raises:
        FeatxError: With file and line, for whatever the manifest does not have.
    """
    finder = VideoFinder(manifest)
    whole: dict[str, list[str]] | None = None
    episodes = []
    for name, files in find_lists(folder).items():
        if "train" not in files:
            raise FeatxError(f"{files['test']}: has no train/{name}.list beside it")
        train = [finder.find(line, f"{files['train']}:{number}") for number, line in _entries(files["train"])]
        shown = {label for label, _ in train}
        classes = [label for label in manifest.labels if label in shown]
        if "test" in files:
            read = _entries(files["test"])
            test = [finder.find(line, f"{files['test']}:{number}")[1] for number, line in read]
        else:
            whole = whole or ids_by_label(manifest, [test_split])
            test = [video_id for label in classes for video_id in whole[label]]
        for part, ids in (("train", train), ("test", test)):
            if not ids:
                raise FeatxError(f"{files.get(part, files['train'])}: gives episode {name} no {part} video")
        episode = Episode(name=name, classes=classes, train=[video_id for _, video_id in train], test=test)
        if problems := episode_problems(episode, manifest):
            raise FeatxError(f"{files['train']}: {problems[0]}")
        episodes.append(episode)
    return episodes


def read_class_lists(pairs: dict[str, dict[str, Path]], manifest: Manifest) -> list[ClassSplit]:
    """Reads class splits from pairs of lists.

    Args:
        pairs: Name to the lists of seen (`train`) and unseen (`test`) classes.
        manifest: The manifest that has the classes.

    Raises:
        FeatxError: With file and line, for a class that the manifest does not have or that is in both lists.
    """
    finder = LabelFinder(manifest.header.classes)
    splits = []
    for name, files in pairs.items():
        parts: dict[str, list[str]] = {}
        for part in ("train", "test"):
            if part not in files:
                raise FeatxError(f"{next(iter(files.values()))}: has no {part}/{name}.list beside it")
            parts[part] = []
            for number, line in _entries(files[part]):
                label = finder.find(line)
                if label is None:
                    hint = nearest(line, manifest.header.classes)
                    raise FeatxError(
                        f"{files[part]}:{number}: class '{line}' is not in {manifest.file}{hint}"
                    )
                parts[part].append(label)
            if not parts[part]:
                raise FeatxError(f"{files[part]}: empty")
        split = ClassSplit(name=name, seen=parts["train"], unseen=parts["test"])
        if problems := class_split_problems(split, manifest):
            raise FeatxError(f"{files['train']}, {files['test']}: {problems[0]}")
        splits.append(split)
    return splits
