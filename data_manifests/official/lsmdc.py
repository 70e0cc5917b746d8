r"""LSMDC: tab-separated lines without header or quoting, `ID\tSTART\tEND\tSTART\tEND\tSENTENCE`.

A clip's file lies in the folder of its movie, `0001_American_Beauty/0001_American_Beauty_00.00.51.926-00.00.54.129.avi`.
Ids repeat in the training list: then a clip has several captions.
"""

from __future__ import annotations

import re
from pathlib import Path

from featx.errors import FeatxError

from ..building.captions import caption_notes
from ..building.entries import Annotations, VideoEntry, check_entries, find_split_files, read_lines
from .info.read import read_dataset_info

FIELDS = 6
TIME_STAMP = re.compile(r"(?P<movie>.+)_\d+(\.\d+){3}-\d+(\.\d+){3}")


def read_lsmdc(folder: Path) -> Annotations:
    """Reads the lists of every split that is there.

    Args:
        folder: Folder of the official files, or the folder above it.

    Raises:
        FeatxError: If there are none, or a line is not as it should be.
    """
    info = read_dataset_info("lsmdc")
    entries: list[VideoEntry] = []
    notes = []
    files, absent = find_split_files(folder, info.files, "lists")
    for split, file in files.items():
        captions, places, blank = _read_list(file)
        entries += [
            _entry(clip, split, said, places[clip], info.ending) for clip, said in captions.items() if said
        ]
        if blank:
            notes.append(
                f"{len(blank):,} lines of {file} have no sentence and were left out, line {blank[0]} first"
            )
    check_entries(entries, files.values())
    notes += absent
    said = caption_notes(entries, info.captions, info.test_split)
    return Annotations(info.name, {}, entries, info.counts[1], [*said, *notes])


def _read_list(file: Path) -> tuple[dict[str, list[str]], dict[str, str], list[int]]:
    """Returns the sentences of each clip, where it stands first, and the lines without a sentence.

    Raises:
        FeatxError: If the file cannot be read, or a line has too few fields.
    """
    captions: dict[str, list[str]] = {}
    places: dict[str, str] = {}
    blank = []
    for number, line in read_lines(file):
        fields = line.split("\t", FIELDS - 1)  # a sentence may have tabs and quotes
        if len(fields) < FIELDS - 1:
            raise FeatxError(f"{file}:{number}: must be {FIELDS} fields between tabs, not {len(fields)}")
        clip = fields[0].strip()
        captions.setdefault(clip, [])
        places.setdefault(clip, f"{file}:{number}")
        if len(fields) < FIELDS or not fields[-1].strip():
            blank.append(number)
        else:
            captions[clip].append(fields[-1].strip())
    return captions, places, blank


def _entry(clip: str, split: str, captions: list[str], source: str, ending: str) -> VideoEntry:
    stamped = TIME_STAMP.fullmatch(clip)
    if stamped is None:
        raise FeatxError(f"{source}: '{clip}' does not end in a time stamp, as 00.00.51.926-00.00.54.129")
    movie = stamped["movie"]
    return VideoEntry(
        (clip,), f"{movie}/{clip}{ending}", movie, split, None, source, captions=tuple(captions)
    )
