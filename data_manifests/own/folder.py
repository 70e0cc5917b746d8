"""One's own videos in class folders: the sub-folder is the class."""

from __future__ import annotations

from pathlib import Path

from featx.errors import FeatxError
from featx.manifest.videos import Header, Manifest, Video
from featx.video.folder import is_hidden

from ..building.build import Matched, root_between
from ..building.draw import SplitDraw, draw_test_videos
from ..building.names import class_texts, similar_labels
from ..building.video_index import video_folder

SPLIT_FOLDERS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"} | {
    "validate": "val",
    "test": "test",
    "testing": "test",
}


def read_folder(folder: Path, to: Path, name: str, text_rule: str, draw: SplitDraw) -> Matched:
    """Makes a manifest of `CLASS/…/VIDEO`, or of `train/CLASS/…/VIDEO` and `test/CLASS/…/VIDEO`.

    Args:
        folder: The videos.
        to: Where the manifest will be written.
        name: Name of the data set.
        text_rule: Rule for class texts.
        draw: Without split folders: what is drawn for the test.

    Raises:
        FeatxError: If there is no class folder, or two differ in their spelling alone.
    """
    below, notes = video_folder(folder)
    if not below.videos:
        raise FeatxError("; ".join([f"--videos {folder}: no video below this folder", *notes]))
    first_parts = {path.split("/")[0] for path in below.videos}
    split_folders = all(part.lower() in SPLIT_FOLDERS for part in first_parts)
    depth = 1 if split_folders else 0
    by_label: dict[str, list[str]] = {}
    loose = []
    for path in below.videos:
        parts = path.split("/")
        if len(parts) < depth + 2:
            loose.append(path)
        else:
            by_label.setdefault(parts[depth], []).append(path)
    if not by_label:
        raise FeatxError(f"--videos {folder}: its videos lie in no class folder, '{below.videos[0]}' for one")
    refuse_similar(by_label, str(folder))
    labels = sorted(by_label)
    header = Header(
        name=name, root=root_between(folder, to), classes=class_texts(labels, text_rule, exceptions={})
    )
    matched = Matched(Manifest(header, [], to))
    for label in labels:
        paths = by_label[label]
        drawn = set() if split_folders else draw_test_videos(paths, label, draw)
        for path in paths:
            drawn_split = "test" if path in drawn else "train"
            split = SPLIT_FOLDERS[path.split("/")[0].lower()] if split_folders else drawn_split
            matched.manifest.videos.append(Video(id=path, path=path, split=split, label=label))
        if len(paths) == 1 and not split_folders:
            matched.notes.append(f"class '{label}' has one video, so none to test on")
    matched.unclaimed = loose
    empty = _empty_class_folders(folder, depth, set(labels))
    matched.notes += [f"class folder '{path}' holds no video and is left out" for path in empty]
    matched.notes += notes
    return matched


def _empty_class_folders(folder: Path, depth: int, labels: set[str]) -> list[str]:
    def folders(place: Path) -> list[Path]:
        return sorted(path for path in place.iterdir() if path.is_dir() and not is_hidden(path.name))

    places = [folder] if depth == 0 else folders(folder)
    inside = [path for place in places for path in folders(place)]
    return [path.relative_to(folder).as_posix() for path in inside if path.name not in labels]


def refuse_similar(labels: dict[str, list[str]], place: str) -> None:
    """Refuses classes that differ by case, underscores or spaces alone: they are most likely one.

    Raises:
        FeatxError: Naming the two and how many videos each has.
    """
    for one, other in similar_labels(labels):
        raise FeatxError(
            f"{place}: classes '{one}' ({len(labels[one])} videos) and '{other}' ({len(labels[other])}) differ by case, "
            "underscores or spaces alone; give them one name"
        )
