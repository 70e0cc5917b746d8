"""Found moments as video files: `featx search --cut`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from featx.errors import FeatxError, printable
from featx.output.clock import clock
from featx.store.reader import FeatureStore
from featx.store.schema import VideoInfo
from featx.video.cut import FilePart, NotCut, copy_at_key_frames, cut_exactly
from featx.video.files import without_ending

from .answers import Answer
from .exact.search import Hit
from .places import Place

NAMED = 20  # clips in a note
LONGEST_STEM = 80


def check_clips_folder(folder: Path | None, copy: bool) -> None:
    """Refuses a folder that cannot be one, before anything is computed.

    Raises:
        FeatxError: If it is a file, or only --copy was given.
    """
    if copy and folder is None:
        raise FeatxError("--copy: goes with --cut DIR; give it, or leave --copy out")
    if folder is not None and folder.exists() and not folder.is_dir():
        raise FeatxError(f"--cut {folder}: is a file; name a folder")


def cut_clips(
    given: Path | FeatureStore,
    answers: list[Answer],
    places: Mapping[str, Place],
    folder: Path,
    copy: bool = False,
) -> list[str]:
    """Writes every hit as a file: number of the query if there are several, rank, name of the video, times.

    Args:
        given: The store, or its folder.
        answers: What was found.
        places: Where the videos are.
        folder: Where to; made if it is not there. Files of equal names are replaced.
        copy: Whether to copy from key frame on instead of encoding.

    Returns:
        How many clips were written, and which not and why, in sentences.

    Raises:
        FeatxError: If the folder cannot be made, or no clip at all could be written.
    """
    store = given if isinstance(given, FeatureStore) else FeatureStore(given)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FeatxError(f"--cut {folder}: cannot make the folder ({error.strerror})") from error
    infos = store.video_info(list(dict.fromkeys(hit.video for answer in answers for hit in answer.hits)))
    written, failed = 0, []
    for number, answer in enumerate(answers, start=1):
        for rank, hit in enumerate(answer.hits, start=1):
            prefix = f"q{number:02}-" if len(answers) > 1 else ""
            target = folder / f"{prefix}{rank:03}-{clip_stem(hit)}.mp4"
            try:
                cut_clip(store, hit, infos[hit.video], places[hit.video], target, copy)
                written += 1
            except NotCut as error:
                failed.append(f"{printable(hit.video)} ({error})")
    notes = [f"{folder}: {written} clips"] if written else []
    if failed:
        more = f" and {len(failed) - NAMED:,} more" if len(failed) > NAMED else ""
        note = f"{len(failed)} clips could not be cut: {', '.join(failed[:NAMED])}{more}"
        if not written:
            raise FeatxError(f"--cut {folder}: {note}; --videos FOLDER says where the files are now")
        notes.append(note)
    return notes


def cut_clip(
    store: FeatureStore, hit: Hit, info: VideoInfo, place: Place, target: Path, copy: bool = False
) -> Path:
    """Writes one hit as a file; returns the file.

    Raises:
        NotCut: If there is no such video file, times are not known, or it cannot be decoded there.
    """
    if place.file is None or not place.file.is_file():
        raise NotCut(f"no file {printable(place.shown)}" if place.file else "nobody knows its file")
    part = part_of(store, hit, info)
    if copy:
        return copy_at_key_frames(place.file, target, part)
    cut_exactly(place.file, target, part)
    return target


def part_of(store: FeatureStore, hit: Hit, info: VideoInfo) -> FilePart:
    """Returns which frames of its file a hit is: from its first row's until the one of the row behind it.

    Raises:
        NotCut: If the store does not know the times of rows.
    """
    pts, past = store.pts(hit.video), hit.first_row + hit.rows
    start_s = float(pts[hit.first_row])
    end_s = float(pts[past]) if past < len(pts) else math.inf
    if math.isnan(start_s):
        raise NotCut("the store does not know the times of its rows")
    frames = None
    if info.time_jumps:
        index = store[hit.video].frame_index
        frames = (int(index[hit.first_row]), int(index[past]) if past < len(index) else None)
        if frames[0] < 0:
            raise NotCut("the file's times step back, and the store does not know its frames")
    return FilePart(start_s, end_s, store.header.file_times, info.stream, frames, bool(info.concealed))


def clip_stem(hit: Hit) -> str:
    """Returns name of the video and times, in characters that every file system takes."""
    name = re.sub(r"[^\w.-]+", "_", without_ending(hit.video)).strip("._") or "video"
    times = "" if math.isnan(hit.start_s) else f"-{clock(hit.start_s)}-{clock(hit.end_s)}".replace(":", "")
    return f"{name[-LONGEST_STEM:]}{times}"
