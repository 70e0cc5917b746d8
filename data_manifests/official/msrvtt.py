"""MSR-VTT: `MSRVTT_data.json` with 20 captions a video; 1k-A's training lists and its test, one sentence a video."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from featx.errors import FeatxError, nearest
from featx.files.plain_json import read_plain_json

from ..building.captions import caption_notes, text_in
from ..building.csv_file import header_reader
from ..building.entries import Annotations, VideoEntry, find_annotation
from .info.read import DatasetInfo, read_dataset_info

PROTOCOLS = {"9k": 1, "7k": 2, "full": 3}  # numbers of the official counts
FULL_SPLITS = {"train": "train", "validate": "val", "val": "val", "test": "test"}
FULL_BOUNDS = (
    6513,
    7010,
)  # the official lists: video0 to video6512 train, to video7009 validate, the others test


def read_msrvtt(folder: Path, protocol: str) -> Annotations:
    """Reads one of the usual splits.

    Args:
        folder: Folder of the official files, or the folder above it.
        protocol: `9k` or `7k`: 1k-A with so many training videos; `full`: the official split.

    Raises:
        FeatxError: If files are not there or not as they should be, or a test video is a training video.
    """
    if protocol not in PROTOCOLS:
        raise FeatxError(
            f"--protocol {protocol}: must be one of {', '.join(PROTOCOLS)}{nearest(protocol, PROTOCOLS)}"
        )
    info = read_dataset_info("msrvtt")
    data = find_annotation(folder, info.files["data"])
    if protocol == "full":
        if data is None:
            raise FeatxError(f"--annotations {folder}: no {info.files['data'][0]}, which has the captions")
        name, entries = f"{info.name}-full", _full(data)
        notes: list[str] = []
    else:
        name = info.name if protocol == "9k" else f"{info.name}-{protocol}"
        entries, notes = _one_thousand(folder, data, protocol, info)
        notes += info.notes
    official = info.counts[PROTOCOLS[protocol]]
    said = caption_notes(entries, {}, info.test_split)
    return Annotations(name, {}, entries, official, [*said, *notes])


def _one_thousand(
    folder: Path, data: Path | None, protocol: str, info: DatasetInfo
) -> tuple[list[VideoEntry], list[str]]:
    test_file = find_annotation(folder, info.files["test"])
    if test_file is None:
        raise FeatxError(f"--annotations {folder}: no {info.files['test'][0]}, the test of 1k-A")
    test: dict[str, VideoEntry] = {}
    for row in _read_csv(test_file, ("video_id", "sentence")):
        if row["video_id"] in test:
            raise FeatxError(
                f"{row['place']}: '{row['video_id']}' stands there twice; 1k-A has one sentence a video"
            )
        test[row["video_id"]] = _entry(row["video_id"], "test", [row["sentence"]], row["place"])
    train_file = find_annotation(folder, info.files[protocol])
    if train_file is None:
        return list(test.values()), [f"no {info.files[protocol][0]} in {folder}, so that split is left out"]
    if data is None:
        raise FeatxError(
            f"--annotations {folder}: no {info.files['data'][0]}, which has the training captions"
        )
    captions, _ = _read_data(data)
    entries = []
    for row in _read_csv(train_file, ("video_id",)):
        video = row["video_id"]
        if video in test:
            raise FeatxError(f"{row['place']}: '{video}' is a test video too ({test[video].source})")
        if video not in captions:
            raise FeatxError(f"{row['place']}: '{video}' has no caption in {data}")
        entries.append(_entry(video, "train", captions[video], row["place"]))
    return [*entries, *test.values()], []


def _full(data: Path) -> list[VideoEntry]:
    captions, splits = _read_data(data)
    return [_entry(video, splits[video], said, f"{data}: {video}") for video, said in captions.items()]


def _read_data(file: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Returns the captions of each video, in the order of the file, and its official split.

    Raises:
        FeatxError: If the file is not as MSR-VTT's, or a sentence is about a video that is not listed.
    """
    content = read_plain_json(file)
    lists = [content.get(key) if isinstance(content, dict) else None for key in ("videos", "sentences")]
    if not all(isinstance(one, list) for one in lists):
        raise FeatxError(f"{file}: must be an object with the lists 'videos' and 'sentences'")
    splits: dict[str, str] = {}
    captions: dict[str, list[str]] = {}
    for number, row in enumerate(lists[0] or []):
        video = text_in(row, "video_id", f"{file}: video {number}")
        splits[video] = _full_split(video, row, f"{file}: video {number}")
        captions[video] = []
    for number, row in enumerate(lists[1] or []):
        place = f"{file}: sentence {number}"
        video = text_in(row, "video_id", place)
        if video not in captions:
            raise FeatxError(f"{place}: '{video}' is not among the videos")
        captions[video].append(text_in(row, "caption", place))
    return captions, splits


def _full_split(video: str, row: dict[str, Any], place: str) -> str:
    """Returns what the file says, or what the official lists say of the video's number.

    Raises:
        FeatxError: If the file says an unknown split, or it says none and the video's name has no number.
    """
    if "split" in row:
        if row["split"] not in FULL_SPLITS:
            raise FeatxError(f"{place}: split '{row['split']}' is none of {', '.join(FULL_SPLITS)}")
        return FULL_SPLITS[row["split"]]
    number = video.removeprefix("video")
    if not number.isdecimal():
        raise FeatxError(f"{place}: has no split, and '{video}' is not called as MSR-VTT's videos are")
    return ("train", "val", "test")[sum(int(number) >= bound for bound in FULL_BOUNDS)]


def _read_csv(file: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = header_reader(lines, file)
            lacking = [name for name in columns if name not in (reader.fieldnames or [])]
            if lacking:
                raise FeatxError(f"{file}:1: no column {', '.join(lacking)}")
            rows = []
            for row in reader:
                place = f"{file}:{reader.line_num}"
                values = {name: (row[name] or "").strip() for name in columns}
                if not all(values.values()):
                    raise FeatxError(f"{place}: {' or '.join(columns)} is empty")
                rows.append({**values, "place": place})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FeatxError(f"{file}: cannot read it as CSV ({error})") from error
    return rows


def _entry(video: str, split: str, captions: list[str], source: str) -> VideoEntry:
    return VideoEntry((video,), f"{video}.mp4", "", split, None, source, captions=tuple(captions))
