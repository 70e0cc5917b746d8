"""What an annotation reader hands over: the entries of the official files, before any video file was looked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from featx.errors import FeatxError
from featx.manifest.videos import Segment, Span


@dataclass(frozen=True)
class VideoEntry:
    """One video as an annotation file names it.

    Attributes:
        names: Names that its file may have, without ending, best first; with folders if the annotation names them.
        path: Where the file lies in the official copy; this is the id of a video that is missing.
        folder: Class folder that its file may lie in.
        split: `train`, `val`, `test`, or empty if it is in none.
        label: Class label; None if the annotation has none.
        source: Where it stands, as `FILE:LINE`.
        segments: Localisation: what happens when, in the order of the files.
        ambiguous: Localisation: where annotators did not agree.
        duration_s: As the annotations say.
        captions: Retrieval: sentences about it.
        id: Its own id, where it is not that of the file: a clip of a longer video.
        start_s: Where it begins within the file; None for the file's begin.
        end_s: Where it ends; None for the file's end.
    """

    names: tuple[str, ...]
    path: str
    folder: str
    split: str
    label: str | None
    source: str
    segments: tuple[Segment, ...] = ()
    ambiguous: tuple[Span, ...] = ()
    duration_s: float | None = None
    captions: tuple[str, ...] = ()
    id: str = ""
    start_s: float | None = None
    end_s: float | None = None

    @property
    def is_part(self) -> bool:
        """Whether it has an id of its own, or is not the whole file."""
        return bool(self.id) or self.start_s is not None or self.end_s is not None


@dataclass
class Annotations:
    """Everything that the official files say.

    Attributes:
        name: Name of the data set.
        classes: Label to text, in class order.
        entries: All entries, in the order of the files.
        official: Official number of videos of each split, where it is known.
        notes: What the user should know.
        ignore_case: Whether file names may differ from the annotation's by case.
        exclusion: Name of the rule by which videos were left out.
        excluded: Those videos: official name to reason.
    """

    name: str
    classes: dict[str, str]
    entries: list[VideoEntry]
    official: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    ignore_case: bool = False
    exclusion: str = ""
    excluded: dict[str, str] = field(default_factory=dict)


def read_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yields number and text of every line that is not blank, without the blanks around it.

    Raises:
        FeatxError: If the file cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FeatxError(f"{file}: cannot read it ({error})") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


def find_annotation(folder: Path, names: list[str]) -> Path | None:
    """Returns the file of one of these names in a folder or, failing that, in one of its sub-folders.

    Raises:
        FeatxError: If the folder is not there, or several of its sub-folders have such a file.
    """
    if not folder.is_dir():
        raise FeatxError(f"--annotations {folder}: no such folder")
    sub_folders = sorted(path for path in folder.iterdir() if path.is_dir())
    for places in ([folder], sub_folders):
        found = [place / name for place in places for name in names if (place / name).is_file()]
        if len(found) > 1:
            raise FeatxError(
                f"--annotations {folder}: {found[0]} or {found[1]}? Give the folder of the one to take"
            )
        if found:
            return found[0]
    return None


def find_split_files(
    folder: Path, files: Mapping[str, list[str]], what: str
) -> tuple[dict[str, Path], list[str]]:
    """Returns the official file of each split that is there, and a note for each that is not.

    Args:
        folder: Folder of the official files, or the folder above it.
        files: Split to the names that its file goes by; see `DatasetInfo.files`.
        what: They are, for messages.

    Raises:
        FeatxError: If there are none; else as `find_annotation`.
    """
    found = {split: find_annotation(folder, names) for split, names in files.items()}
    absent = [names[0] for split, names in files.items() if found[split] is None]
    if len(absent) == len(files):
        raise FeatxError(f"--annotations {folder}: no {', '.join(absent)}; it must hold the official {what}")
    there = {split: file for split, file in found.items() if file is not None}
    return there, [f"no {name} in {folder}, so that split is left out" for name in absent]


def check_entries(entries: list[VideoEntry], files: Iterable[Path]) -> None:
    """Refuses official files that list nothing.

    Raises:
        FeatxError: Naming them.
    """
    if not entries:
        raise FeatxError(f"--annotations: {', '.join(map(str, files))}: nothing is listed there")
