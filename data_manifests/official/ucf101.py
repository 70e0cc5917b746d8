"""UCF101: `classInd.txt`, `trainlist01.txt` (with 1-based class numbers) and `testlist01.txt` (without)."""

from __future__ import annotations

from pathlib import Path

from featx.errors import FeatxError, nearest
from featx.video.files import without_ending

from ..building.entries import Annotations, VideoEntry, find_annotation, read_lines
from ..building.names import LabelFinder, class_texts
from .info.read import read_dataset_info

DATA_SET = "ucf101"


def read_ucf101(folder: Path, split_number: int) -> Annotations:
    """Reads one official split.

    Args:
        folder: Folder of the official files (`ucfTrainTestlist`), or the folder above it.
        split_number: 1, 2 or 3.

    Raises:
        FeatxError: If the files are not there, a line is not as it should be, or a class number is not its folder's.
    """
    info = read_dataset_info(DATA_SET)
    class_number = _read_classes(_needed(folder, "classInd.txt"))
    finder = LabelFinder({label: label for label in class_number})
    entries = []
    for split in ("train", "test"):
        file = _needed(folder, f"{split}list{split_number:02d}.txt")
        for number, line in read_lines(file):
            place = f"{file}:{number}"
            path, _, stated = line.partition(" ")
            class_folder, slash, name = path.rpartition("/")
            label = finder.find(class_folder)
            if not slash or label is None:
                hint = nearest(class_folder, class_number) or "; it must be class/video"
                raise FeatxError(f"{place}: no class '{class_folder}' in classInd.txt{hint}")
            if stated.strip() and stated.strip() != class_number[label]:
                raise FeatxError(
                    f"{place}: class number {stated.strip()}, but '{label}' is {class_number[label]} in classInd.txt"
                )
            entries.append(VideoEntry((without_ending(name),), path, class_folder, split, label, place))
    notes = []
    if len(class_number) != info.class_count:
        notes.append(f"{len(class_number)} of {info.class_count} classes are in classInd.txt")
    texts = class_texts(class_number, info.class_text, info.class_texts)
    # copies differ in the case of one class's folder and files (HandstandPushups)
    return Annotations(info.name, texts, entries, info.counts.get(split_number, {}), notes, ignore_case=True)


def _needed(folder: Path, name: str) -> Path:
    file = find_annotation(folder, [name])
    if file is None:
        raise FeatxError(f"--annotations {folder}: no {name}; it must hold the official ucfTrainTestlist")
    return file


def _read_classes(file: Path) -> dict[str, str]:
    """Returns label to number, in the order of the numbers.

    Raises:
        FeatxError: If the file cannot be read, or a line is not a number and a class of its own.
    """
    classes: dict[str, str] = {}
    for number, line in read_lines(file):
        class_number, _, label = line.partition(" ")
        if not class_number.isdecimal() or not label.strip() or label.strip() in classes:
            raise FeatxError(f"{file}:{number}: must be a number and a class of its own, not '{line}'")
        classes[label.strip()] = class_number
    return classes
