"""Video files, frames and clips: only of videos that the store names, and only below the folder that was given."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from featx.features.video_ends import lengths_of
from featx.store.source_files import source_file
from featx.video.cut import NotCut
from featx.video.files import is_video
from featx.video.stills import FileHints, NoPicture, decode_still

from ..search.clips import clip_stem, cut_clip
from ..search.exact.search import Hit
from ..search.places import Place
from .engine import Engine, row_at

TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/mp4",
    ".webm": "video/webm",
    ".ogv": "video/ogg",
    ".mkv": "video/x-matroska",
}
QUALITY = 80  # of JPEG
KEPT_FRAMES_BYTES = 64 * 2**20
KEPT_CLIPS = 64
LONGEST_CLIP_S = 120.0
AT_ONCE = 2  # programs that decode


class NoMedia(Exception):
    """There is no file that may be shown; the message says why, without a path."""


class Media:
    """Finds, decodes and cuts; what was decoded is kept up to a bound."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._decoding = threading.Semaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._frames: OrderedDict[tuple[str, float, int], bytes] = OrderedDict()
        self._frames_bytes = 0
        self._folder = TemporaryDirectory(prefix="featx-serve-")  # is removed with this object
        self._clips: OrderedDict[tuple[str, int, int], Path] = OrderedDict()

    def file(self, video_id: str) -> tuple[Path, str]:
        """Returns a video's file and its media type.

        Raises:
            NoMedia: If it is not there, is no video, or lies outside the folder.
        """
        store, videos = self._engine.store, self._engine.settings.videos
        info = store.video_info([video_id])[video_id]
        root = videos or (Path(info.root) if info.root else None)
        if root is None:
            raise NoMedia(
                "the store does not know the folder of this video; start featx serve with --videos FOLDER"
            )
        file = source_file(video_id, info, videos)
        try:
            found = file.resolve(strict=True)
        except (OSError, ValueError):
            raise NoMedia("its file is not there; --videos FOLDER says where the files are now") from None
        if not found.is_relative_to(root.resolve()):
            raise NoMedia("its file lies outside the folder of the videos")
        if not found.is_file() or not is_video(str(found)):
            raise NoMedia("its file is no video")
        return found, TYPES.get(found.suffix.lower(), "application/octet-stream")

    def frame(self, video_id: str, time_s: float, height: int) -> bytes:
        """Returns the frame that a row shows, the last one at or before a time, as JPEG.

        Raises:
            NoMedia: If it cannot be decoded.
        """
        store = self._engine.store
        pts = store.pts(video_id)
        if not np.isfinite(pts).all():
            raise NoMedia("the store does not know the times of its rows")
        row = row_at(pts, time_s)
        key = (video_id, float(pts[row]), height)
        with self._lock:
            known = self._frames.get(key)
            if known is not None:
                self._frames.move_to_end(key)
                return known
        file, _ = self.file(video_id)
        info = store.video_info([video_id])[video_id]
        index = int(store[video_id].frame_index[row]) if info.time_jumps else None
        hints = FileHints(info.stream, index, bool(info.concealed))
        with self._decoding:
            try:
                pixels = decode_still(file, key[1], height, store.header.file_times, hints)
            except NoPicture as error:
                raise NoMedia(str(error).replace(str(file), file.name)) from None
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "JPEG", quality=QUALITY)
        with self._lock:
            if key not in self._frames:
                self._frames[key] = content.getvalue()
                self._frames_bytes += len(content.getvalue())
            while self._frames_bytes > KEPT_FRAMES_BYTES:
                self._frames_bytes -= len(self._frames.popitem(last=False)[1])
        return content.getvalue()

    def clip(self, video_id: str, first_row: int, rows: int) -> tuple[Path, str]:
        """Cuts rows out of a video, exactly; for browsers that cannot play the file, and for taking away.

        Returns:
            The clip, an H.264 file, and a name for it.

        Raises:
            NoMedia: If it would be too long or outside the video, or cannot be decoded.
        """
        store = self._engine.store
        pts = store.pts(video_id)
        if first_row + rows > len(pts):
            raise NoMedia(f"the video has {len(pts):,} rows")
        past = first_row + rows
        end_s = float(pts[past]) if past < len(pts) else float(pts[0] + lengths_of(store, [video_id])[0])
        hit = Hit(video_id, first_row, rows, float(pts[first_row]), end_s, 0.0)
        if not end_s - hit.start_s <= LONGEST_CLIP_S:  # also where nobody knows
            raise NoMedia(f"clips are at most {LONGEST_CLIP_S:.0f} s long")
        key, name = (video_id, first_row, rows), f"{clip_stem(hit)}.mp4"
        with self._decoding:
            with self._lock:
                known = self._clips.get(key)
            if known is not None and known.is_file():
                return known, name
            file, _ = self.file(video_id)
            with self._lock:
                target = Path(self._folder.name) / f"{len(self._clips)}-{abs(hash(key))}.mp4"
            try:
                cut_clip(store, hit, store.video_info([video_id])[video_id], Place(file), target)
            except NotCut as error:
                raise NoMedia(str(error).replace(str(file), file.name)) from None
            with self._lock:
                self._clips[key] = target
                while len(self._clips) > KEPT_CLIPS:
                    self._clips.popitem(last=False)[1].unlink(missing_ok=True)
        return target, name
