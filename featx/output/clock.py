"""Times as people write them: on a clock, in subtitles, and as the time codes of edit lists."""

from __future__ import annotations


def clock(time_s: float) -> str:
    """Returns ``hh:mm:ss.mmm``, with a sign in front of a time before 0."""
    thousandths = round(abs(time_s) * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    sign = "-" if time_s < 0 and thousandths else ""
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"


def subtitle_time(time_s: float) -> str:
    """Returns ``hh:mm:ss,mmm`` of SubRip, which knows no time before 0."""
    return clock(max(time_s, 0.0)).replace(".", ",")


def time_code(frame: int, fps: int) -> str:
    """Returns ``hh:mm:ss:ff`` of a frame, without dropped numbers."""
    seconds, frames = divmod(frame, fps)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{frames:02}"
