"""What is noted of a video's file beside its rows."""

from __future__ import annotations

from featx.store.schema import VideoInfo

from ..plan.videos import SourceVideo
from .decoder_log import DecoderLog
from .times import FrameTimes

UNKNOWN = ("", "unknown", "reserved")


def video_info_of(
    video: SourceVideo,
    log: DecoderLog,
    times: FrameTimes,
    jumps: int,
    concealed: int = 0,
    complete: bool = True,
) -> VideoInfo:
    """Returns the information about a video that was decoded.

    Args:
        video: Which.
        log: What ffmpeg said of it.
        times: When its frames are shown.
        jumps: How often the file's times step back.
        concealed: Frames that are left out because damage kept them from being decoded truly.
        complete: Whether the rows are those of the whole video.
    """
    status = video.path.stat()
    width, height = log.first_size
    upper, lower = log.first_aspect
    return VideoInfo(
        path=video.recorded_path,
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        width=width,
        height=height,
        duration_s=times.duration_s,
        complete=complete,
        root=video.root,
        start_s=log.start_s,
        stream=log.stream,
        streams=sum(stream.kind == "Video" for stream in log.streams),
        concealed=concealed,
        time_jumps=jumps,
        sample_aspect=f"{upper}:{lower}" if upper else None,
        interlaced=log.interlaced,
        transfer=None if log.transfer in UNKNOWN else log.transfer,
    )
