"""A part of a video as a file of its own: exact by encoding it again, or quick by copying from key frame on."""

from __future__ import annotations

import math
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from featx.video.ffmpeg import ffmpeg_path
from featx.video.first_frame import (
    AS_FIRST_FRAME,
    LONGEST_REASON,
    NEAR_S,
    ONE_FRAME,
    RUN_UPS_S,
    first_reason,
    run_ffmpeg,
)

COPIED_AS = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mpg"})
TIMEOUT_S = 3600.0  # of ffmpeg, for one part


class NotCut(Exception):
    """A part could not be cut out; the message says why."""


@dataclass(frozen=True)
class FilePart:
    """Which frames of a video file are wanted.

    Attributes:
        start_s: When the first one is shown.
        end_s: When the first one is shown that is not wanted any more; infinity for the end of the file.
        file_times: Whether these are times as the file has them, else since the file's start.
        stream: Number of the stream in the file; by default the one that ffmpeg chooses.
        frames: First and past-the-last frame of the file, for a file whose times step back: then times are not looked
            at, and there is no sound.
        damaged: Whether the file is known to be damaged elsewhere.
    """

    start_s: float
    end_s: float = math.inf
    file_times: bool = True
    stream: int | None = None
    frames: tuple[int, int | None] | None = None
    damaged: bool = False


def cut_exactly(path: Path, target: Path, part: FilePart) -> None:
    """Writes exactly the frames of a part, and their sound, encoded anew as H.264 and AAC.

    Args:
        path: A local video file.
        target: An .mp4 file, which is written whole or not at all.
        part: Which frames.

    Raises:
        NotCut: If the file is no video, is damaged there, or has no frame there.
    """
    if part.frames is not None:
        first, past = part.frames
        end = "" if past is None else f":end_frame={past}"
        _encode(path, target, part, ["-copyts", "-reinit_filter", "0"], f"trim=start_frame={first}{end}")
        return
    begin = part.start_s - NEAR_S
    end = "" if math.isinf(part.end_s) else f":end={part.end_s - NEAR_S:.6f}"
    trim = f"trim=start={begin:.6f}{end}"
    timeline = ["-copyts", *(["-seek_timestamp", "1"] if part.file_times else ["-start_at_zero"])]
    for run_up_s in RUN_UPS_S:
        if begin > run_up_s:
            seek = ["-noaccurate_seek", "-ss", f"{begin - run_up_s:.6f}"]
            try:
                # files without an index: decoding may begin too late, at the next key frame
                if _encode(path, target, part, [*timeline, *seek], trim) <= part.start_s + NEAR_S:
                    return
            except NotCut:
                continue
    _encode(path, target, part, timeline, trim)


def copy_at_key_frames(path: Path, target: Path, part: FilePart) -> Path:
    """Copies a part without encoding: it begins at the last key frame before, and may end some frames later.

    Args:
        path: A local video file.
        target: Where to; its ending becomes that of the video, or .mkv.
        part: Which frames.

    Returns:
        The file that was written, whole or not at all.

    Raises:
        NotCut: If the file cannot be read or copied, or its times step back.
    """
    if part.frames is not None:
        raise NotCut("the file's times step back; cut it without --copy")
    ending = path.suffix.lower()
    target = target.with_suffix(ending if ending in COPIED_AS else ".mkv")
    timeline = ["-seek_timestamp", "1"] if part.file_times else []
    length = [] if math.isinf(part.end_s) else ["-t", f"{part.end_s - part.start_s:.6f}"]
    seek = ["-ss", f"{part.start_s:.6f}"] if part.start_s > NEAR_S else []
    stream = "0:v:0" if part.stream is None else f"0:{part.stream}"
    words = [*timeline, *seek, *length, "-i", f"file:{path}", "-map", stream, "-map", "0:a:0?"]
    _run([*words, "-c", "copy", "-avoid_negative_ts", "make_zero"], target)
    return target


def _encode(path: Path, target: Path, part: FilePart, from_where: list[str], trim: str) -> float:
    """Encodes what a filter lets through; returns the time of the first frame that was decoded.

    Raises:
        NotCut: If there is no such frame, or ffmpeg takes too long or breaks off.
    """
    strict = [] if part.damaged else ["-xerror"]  # as in extraction: what was damaged has no features
    video = f"{trim},setpts=PTS-STARTPTS,crop=trunc(iw/2)*2:trunc(ih/2)*2"  # 4:2:0 has no odd sizes
    stream = "0:v:0" if part.stream is None else f"0:{part.stream}"
    sound = ["-an"]
    if part.frames is None:
        sound = ["-map", "0:a:0?", "-af", f"a{trim},asetpts=PTS-STARTPTS", "-c:a", "aac"]
    words = [
        *(*strict, *from_where, "-i", f"file:{path}", "-map", stream, "-vf", video),
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p"),
        *("-fps_mode", "passthrough", "-enc_time_base:v", "demux", *sound, "-movflags", "+faststart"),
    ]
    return _run(words, target, ["-map", stream, "-an", *ONE_FRAME, *AS_FIRST_FRAME])


def _run(words: list[str], target: Path, first: list[str] | None = None) -> float:
    """Runs ffmpeg on a file beside the target, and renames it.

    Args:
        words: Options and input, without the output file.
        target: The file.
        first: A further output, which writes the first decoded frame in ffmpeg's framecrc format.

    Returns:
        The time of that frame.

    Raises:
        NotCut: If ffmpeg says an error, or writes no frame.
    """
    partial = target.with_name(f".{uuid.uuid4().hex}{target.suffix}")

    def whole(first_place: str) -> list[str]:
        return ["-y", *words, "-sn", "-dn", f"file:{partial}", *([*first, first_place] if first else [])]

    try:
        done, first_s = run_ffmpeg(whole, TIMEOUT_S)
        if done.returncode or not partial.is_file() or not _has_frames(partial):
            reason = first_reason(done).replace(str(partial), target.name)
            raise NotCut(reason[:LONGEST_REASON] or "there is no frame at that time")
        partial.replace(target)
    except subprocess.TimeoutExpired:
        raise NotCut(f"took longer than {TIMEOUT_S:.0f} s") from None
    finally:
        partial.unlink(missing_ok=True)
    return first_s


def _has_frames(file: Path) -> bool:
    """Whether at least one picture stands in a file: ffmpeg writes an empty one without an error."""
    words = [ffmpeg_path(), "-nostdin", "-v", "error", "-i", f"file:{file}"]
    words += ["-map", "0:v:0", "-frames:v", "1"]
    done = subprocess.run([*words, "-f", "framecrc", "-"], stdin=subprocess.DEVNULL, capture_output=True)
    return any(line[:1].isdigit() for line in done.stdout.splitlines())
