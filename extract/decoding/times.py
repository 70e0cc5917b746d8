"""The times of a video's frames on the timeline of its file, as pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

GLITCH_FRAMES = 3  # a time that is behind for so few frames is a slip of the file, not a new beginning


@dataclass(frozen=True)
class FrameTimes:
    """When the N frames of a video are shown: ``pts`` (N,) and the last frame's duration, in ``time_base`` seconds.

    ``pts`` never decrease. With key frames only, ``index`` (N,) says which of the video's frames they are.
    """

    pts: np.ndarray
    last_duration: int
    time_base: Fraction
    index: np.ndarray | None = None

    @property
    def seconds(self) -> np.ndarray:
        """(N,) presentation times in seconds."""
        return np.array([float(pts * self.time_base) for pts in self.pts.tolist()])

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the end of the last one."""
        return float((int(self.pts[-1] - self.pts[0]) + self.last_duration) * self.time_base)


def going_on(pts: np.ndarray, durations: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns times that never step back, and how often the given ones do.

    Where recordings were joined byte by byte, times begin anew: there they go on from the end of the frame before,
    and everything behind is moved by as much. Where at most `GLITCH_FRAMES` frames are behind the frame in front of
    them and the next one is not, the file slipped: those few get that frame's time, and nothing else is moved.
    Steps forward, however large, stay as they are.

    Args:
        pts: (N,) int64 times of the frames in the order in which they are shown.
        durations: (N,) int64, how long each is shown.

    Returns:
        (N,) int64 times, and the number of steps back that were mended.
    """
    pts = np.asarray(pts, np.int64)
    if not len(pts) or (np.diff(pts) >= 0).all():
        return pts, 0
    out: list[int] = []
    times, lengths = pts.tolist(), np.asarray(durations).tolist()
    shift, jumps, number = 0, 0, 0
    while number < len(times):
        latest = out[-1] if out else times[0]
        if times[number] + shift >= latest:
            out.append(times[number] + shift)
            number += 1
            continue
        jumps += 1
        behind = next(
            (n for n in range(1, GLITCH_FRAMES + 1) if _is_on(times, number + n, shift, latest)),
            0,
        )
        if behind:
            out += [latest] * behind
            number += behind
        else:
            shift = latest + max(lengths[number - 1], 0) - times[number]
    return np.array(out, np.int64), jumps


def _is_on(times: list[int], number: int, shift: int, latest: int) -> bool:
    return number < len(times) and times[number] + shift >= latest
