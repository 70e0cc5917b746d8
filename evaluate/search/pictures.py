"""The pictures of hits, out of the video files that the features were made of; what cannot be had is counted and said."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from featx.errors import FeatxError
from featx.manifest.videos import read_manifest
from featx.store.reader import FeatureStore
from featx.store.source_files import source_file
from featx.video.stills import FileHints, NoPicture, decode_still

from .exact.search import Hit
from .exact.settings import SearchSettings

HEIGHT = 160  # pixels
QUALITY = 85
NAMED = 20  # missing files in a note; the page says it of each


@dataclass(frozen=True)
class Picture:
    """A frame of a hit: when it is shown, and its JPEG; or why there is none."""

    time_s: float
    jpeg: bytes = b""
    problem: str = ""


@dataclass(frozen=True)
class Pictured:
    """Pictures of many hits.

    Attributes:
        of: The pictures of each hit.
        problems: What is missing or doubtful, in sentences.
    """

    of: Mapping[Hit, list[Picture]]
    problems: list[str]


def take_pictures(store: FeatureStore, hits: list[Hit], settings: SearchSettings) -> Pictured:
    """Decodes frames of hits, evenly placed over each.

    Args:
        store: It knows when rows are shown and, unless the settings say otherwise, where the files are.
        hits: Of which pictures are wanted.
        settings: How many, and where the files are.

    Raises:
        FeatxError: If the folder or the manifest of the video files is not there.
    """
    ids = list(dict.fromkeys(hit.video for hit in hits))
    files = find_files(store, ids, settings)
    video_info = store.video_info(ids)
    sizes = {video_id: file.stat().st_size for video_id, file in files.items() if file.is_file()}
    changed = [video_id for video_id, size in sizes.items() if size != video_info[video_id].size_bytes]
    missing = [video_id for video_id in ids if video_id not in sizes]
    unknown = [video_id for video_id in ids if not np.isfinite(store.pts(video_id)).all()]
    wanted = {hit: _times(store.pts(hit.video), hit, settings.pictures) for hit in hits}

    file_times = store.header.file_times

    def take(video_id: str, time_s: float) -> Picture:
        if math.isnan(time_s):
            return Picture(time_s, problem="the store does not know the times")
        if video_id not in sizes:
            return Picture(time_s, problem=f"no file {files[video_id]}")
        try:
            known, frame = video_info[video_id], None
            if known.time_jumps:
                if known.concealed:
                    return Picture(time_s, problem="the file's times step back, and it is damaged")
                frame = _frame_index(store, video_id, time_s)
            hints = FileHints(known.stream, frame, bool(known.concealed))
            still = decode_still(files[video_id], time_s, HEIGHT, file_times, hints)
            return Picture(time_s, _jpeg(still))
        except NoPicture as error:
            return Picture(time_s, problem=str(error))

    frames = list(dict.fromkeys((hit.video, time) for hit, times in wanted.items() for time in times))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        taken = dict(zip(frames, pool.map(lambda frame: take(*frame), frames), strict=True))
    problems = []
    if missing:
        where = "--videos FOLDER or --manifest FILE says where they are"
        if settings.videos or settings.manifest:
            where = f"looked in {settings.videos or settings.manifest}"
        names = ", ".join(str(files[video_id]) for video_id in missing[:NAMED])
        more = f" and {len(missing) - NAMED:,} more" if len(missing) > NAMED else ""
        problems.append(f"{len(missing):,} of {len(ids):,} video files are not there; {where}: {names}{more}")
    if unknown:
        problems.append(
            f"{len(unknown)} of {len(ids)} videos have no pictures: the store does not know the times of their rows, "
            f"'{unknown[0]}' first"
        )
    if changed:
        problems.append(
            f"{len(changed)} of {len(ids)} video files are not as large as when their features were made, "
            f"{files[changed[0]]} first; their pictures may be others"
        )
    undecoded = {
        frame: picture
        for frame, picture in taken.items()
        if picture.problem and frame[0] in sizes and frame[0] not in unknown
    }
    if undecoded:
        (video_id, _), picture = next(iter(undecoded.items()))
        problems.append(
            f"{len(undecoded)} of {len(frames)} pictures could not be decoded, of {files[video_id]} first "
            f"({picture.problem})"
        )
    return Pictured(
        {hit: [taken[hit.video, time] for time in times] for hit, times in wanted.items()}, problems
    )


def find_files(store: FeatureStore, ids: list[str], settings: SearchSettings) -> dict[str, Path]:
    """Returns where each video's file should be: in a folder, as a manifest says, or as the store says.

    Raises:
        FeatxError: If the folder is not there, or the manifest cannot be read or lacks a video.
    """
    if settings.videos and settings.manifest:
        raise FeatxError(f"--videos {settings.videos} and --manifest {settings.manifest}: give one of them")
    if settings.videos:
        if not settings.videos.is_dir():
            raise FeatxError(f"--videos {settings.videos}: no such folder")
        folder = settings.videos
        return {
            video_id: source_file(video_id, one, folder) for video_id, one in store.video_info(ids).items()
        }
    if settings.manifest:
        manifest = read_manifest(settings.manifest)
        paths = {video.stored_id: manifest.root / video.path for video in manifest.videos}
        strange = [video_id for video_id in ids if video_id not in paths]
        if strange:
            raise FeatxError(f"--manifest {settings.manifest}: has no video '{strange[0]}'")
        return {video_id: paths[video_id] for video_id in ids}
    return {video_id: source_file(video_id, one) for video_id, one in store.video_info(ids).items()}


def _frame_index(store: FeatureStore, video_id: str, time_s: float) -> int:
    """Returns which frame of its file a row shows, for a file whose times do not lead to it."""
    video = store[video_id]
    return int(video.frame_index[np.abs(video.pts - time_s).argmin()])


def _times(pts: np.ndarray, hit: Hit, count: int) -> list[float]:
    """Returns when up to ``count`` rows, in the middles of equal parts of a hit, are shown."""
    middles = (np.arange(count) + 0.5) / count * hit.rows
    times_s: list[float] = pts[hit.first_row + np.unique(middles.astype(np.int64))].tolist()
    return times_s


def _jpeg(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=QUALITY)
    return content.getvalue()
