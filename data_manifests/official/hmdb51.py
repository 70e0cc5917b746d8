"""HMDB51: one file a class and split (`<class>_test_split1.txt`), or the lists of the method's authors.

Names hold `#`, `;`, `!`, `&`, `+`, `@`, brackets and `___`: lines are taken apart at the last blank and nowhere else.
"""

from __future__ import annotations

from pathlib import Path

from featx.errors import FeatxError
from featx.video.files import without_ending

from ..building.entries import Annotations, VideoEntry, find_annotation, read_lines
from ..building.names import class_texts
from .info.read import read_dataset_info

DATA_SET = "hmdb51"
SPLITS = {"0": "", "1": "train", "2": "test"}  # official: 0 is in the data set, but not used in this split


def read_hmdb51(folder: Path, split_number: int) -> Annotations:
    """Reads one official split.

    Args:
        folder: Folder of the official files, or of the authors' `train_split01.txt` and `test_split01.txt`, or the
            folder above it.
        split_number: 1, 2 or 3.

    Raises:
        FeatxError: If the files are not there, or a line is not as it should be.
    """
    files = _class_files(folder, split_number)
    entries = _official(files, split_number) if files else _authors(folder, split_number)
    info = read_dataset_info(DATA_SET)
    labels = sorted({str(entry.label) for entry in entries})
    notes = []
    if len(labels) != info.class_count:
        notes.append(f"{len(labels)} of {info.class_count} classes are in {folder}")
    return Annotations(
        info.name,
        class_texts(labels, info.class_text, info.class_texts),
        entries,
        info.counts.get(split_number, {}),
        notes,
    )


def _class_files(folder: Path, split_number: int) -> list[Path]:
    if not folder.is_dir():
        raise FeatxError(f"--annotations {folder}: no such folder")
    ending = f"_test_split{split_number}.txt"
    for place in [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]:
        if files := sorted(path for path in place.iterdir() if path.name.endswith(ending)):
            return files
    return []


def _official(files: list[Path], split_number: int) -> list[VideoEntry]:
    entries = []
    for file in files:
        label = file.name.removesuffix(f"_test_split{split_number}.txt")
        for number, line in read_lines(file):
            name, _, used = line.rpartition(" ")
            if used not in SPLITS or not name.strip():
                raise FeatxError(f"{file}:{number}: must be a file name and 0, 1 or 2, not '{line}'")
            entries.append(_entry(name.strip(), label, SPLITS[used], f"{file}:{number}"))
    return entries


def _authors(folder: Path, split_number: int) -> list[VideoEntry]:
    entries = []
    for split in ("train", "test"):
        name = f"{split}_split{split_number:02d}.txt"
        file = find_annotation(folder, [name])
        if file is None:
            raise FeatxError(
                f"--annotations {folder}: neither <class>_test_split{split_number}.txt files nor {name}; it must hold "
                "testTrainMulti_7030_splits or the method's authors' lists"
            )
        for number, line in read_lines(file):
            label, slash, video = line.partition("/")
            if not slash or not label or not video:
                raise FeatxError(f"{file}:{number}: must be class/video, not '{line}'")
            entries.append(_entry(video, label, split, f"{file}:{number}"))
    return entries


def _entry(video: str, label: str, split: str, source: str) -> VideoEntry:
    return VideoEntry((without_ending(video),), f"{label}/{video}", label, split, label, source)
