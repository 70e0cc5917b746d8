"""DiDeMo: JSON lists of descriptions of moments; for retrieval all those of a video make one paragraph.

A paragraph is about the first 30 s, so that is the part of the video that is used. The same video may be listed under
two endings (`x.mov` and `x.mp4`): one video, whose descriptions go together, or none where such are dropped. Some names
(14 of val, 31 of test) end in a dot, without an ending: `x.` is the video `x`, whose file copies call `x.mp4` or `x.`.
"""

from __future__ import annotations

from pathlib import Path

from featx.errors import FeatxError
from featx.files.plain_json import read_plain_json
from featx.video.files import without_ending

from ..building.captions import caption_notes, text_in
from ..building.entries import Annotations, VideoEntry, check_entries, find_split_files
from .info.read import read_dataset_info

DESCRIBED_S = 30.0


def read_didemo(folder: Path, drop_repeated_stems: bool) -> Annotations:
    """Reads the lists of every split that is there.

    Args:
        folder: Folder of the official files, or the folder above it.
        drop_repeated_stems: Whether videos that are listed under two endings are left out.

    Raises:
        FeatxError: If there are none, or an item is not as it should be.
    """
    info = read_dataset_info("didemo")
    entries: list[VideoEntry] = []
    notes = []
    files, absent = find_split_files(folder, info.files, "lists")
    for split, file in files.items():
        videos, descriptions = _read_list(file)
        repeated = [stem for stem, listed in videos.items() if len(listed) > 1]
        if repeated:
            how = "left out" if drop_repeated_stems else "taken as one video each"
            notes.append(
                f"{split}: {len(repeated)} videos are listed under two endings and {how}, '{repeated[0]}' first"
            )
        left_out = set(repeated) if drop_repeated_stems else set()
        entries += [
            _entry(stem, listed, descriptions[stem], split, file)
            for stem, listed in videos.items()
            if stem not in left_out
        ]
    check_entries(entries, files.values())
    notes += absent
    said = caption_notes(entries, info.captions, info.test_split)
    return Annotations(info.name, {}, entries, info.counts[1], [*said, *notes])


def _read_list(file: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Returns the names that each video goes by, and its descriptions in the order of the file, by the stem.

    Raises:
        FeatxError: If the file cannot be read, is not a list, or an item lacks its video or description.
    """
    content = read_plain_json(file)
    if not isinstance(content, list):
        raise FeatxError(f"{file}: must be a list of descriptions")
    videos: dict[str, list[str]] = {}
    descriptions: dict[str, list[str]] = {}
    for number, row in enumerate(content):
        video, text = (text_in(row, key, f"{file}: item {number}") for key in ("video", "description"))
        stem = _stem(video)
        listed = videos.setdefault(stem, [])
        if video not in listed:
            listed.append(video)
        descriptions.setdefault(stem, []).append(text)
    return videos, descriptions


def _stem(video: str) -> str:
    return video.removesuffix(".") if video.endswith(".") else without_ending(video)


def _entry(stem: str, listed: list[str], descriptions: list[str], split: str, file: Path) -> VideoEntry:
    # some copies keep the whole name before another ending (x.mov.mp4)
    names = (stem, *listed)
    paragraph = " ".join(descriptions)
    source = f"{file}: {listed[0]}"
    return VideoEntry(names, listed[0], "", split, None, source, captions=(paragraph,), end_s=DESCRIBED_S)
