"""Which frames of a video become rows: the definitions as pure functions, and the ffmpeg filters that obey them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from featx.errors import FeatxError

from .times import FrameTimes

Kind = Literal["every frame", "fps", "every", "frames", "keyframes"]


@dataclass(frozen=True)
class Sampling:
    """A way to choose frames. ``value``: rows a second (fps), the step (every), or the number of rows (frames)."""

    kind: Kind = "every frame"
    value: Fraction = Fraction(0)

    def __str__(self) -> str:
        """Returns what stands in a store's fingerprint, e.g. ``fps 2`` or ``every frame``."""
        return f"{self.kind} {self.value}" if self.value else self.kind


def choose_sampling(
    fps: str | None = None, every: int | None = None, frames: int | None = None, keyframes: bool = False
) -> Sampling:
    """Turns command-line options into a sampling; at most one may be given.

    Args:
        fps: Rows a second: a decimal number or a fraction such as ``30000/1001``.
        every: Take each n-th frame.
        frames: Rows of each video, evenly over it.
        keyframes: Take key frames only.

    Raises:
        FeatxError: Naming the options.
    """
    given = [
        flag
        for flag, value in [
            ("--fps", fps),
            ("--every", every),
            ("--frames", frames),
            ("--keyframes", keyframes),
        ]
        if value
    ]
    if len(given) > 1:
        raise FeatxError(f"{' and '.join(given)}: give one of them")
    if fps:
        try:
            rate = Fraction(fps)
        except (ValueError, ZeroDivisionError):
            rate = Fraction(0)
        if rate <= 0:
            raise FeatxError(
                f"--fps {fps}: must be a positive number or fraction, such as 2, 0.5 or 30000/1001"
            )
        return Sampling("fps", rate)
    if every and every > 1:
        return Sampling("every", Fraction(every))
    if frames:
        return Sampling("frames", Fraction(frames))
    return Sampling("keyframes") if keyframes else Sampling()


def even_frames(frames: int, rows: int) -> np.ndarray:
    """Returns (rows,) frame indices: the video is cut into ``rows`` equal parts, each gives its middle frame.

    A video with fewer frames than rows gives some of them more than once.
    """
    return (2 * np.arange(rows) + 1) * frames // (2 * rows)


def frames_on_screen(times: FrameTimes, fps: Fraction, rows: int) -> np.ndarray:
    """Returns (rows,) frame indices: row i is the frame on screen at time i / fps after the first frame.

    Frame k is the one of row i where k is the last frame with pts[k] - pts[0] <= i / fps. Integers throughout: a
    frame that begins exactly at i / fps is that row's.
    """
    step = times.time_base * fps
    first = int(times.pts[0])
    # the first row at which each frame is on screen already
    first_rows = [-(-(pts - first) * step.numerator // step.denominator) for pts in times.pts.tolist()]
    return np.searchsorted(np.array(first_rows), np.arange(rows), side="right") - 1


def rows_of(sampling: Sampling, times: FrameTimes, pictures: int) -> tuple[np.ndarray, np.ndarray]:
    """Says which picture of the decoder, and which frame of the video, each row shows.

    Args:
        sampling: How frames were chosen.
        times: All N frames of the video (with key frames: those).
        pictures: How many pictures came out of the decoder with this sampling's filter.

    Returns:
        (R,) picture of each row and (R,) frame index of each row.
    """
    if sampling.kind == "frames":
        frame = even_frames(len(times.pts), int(sampling.value))
        return np.unique(frame, return_inverse=True)[1], frame
    picture = np.arange(pictures)
    if sampling.kind == "fps":
        return picture, frames_on_screen(times, sampling.value, pictures)
    if sampling.kind == "every":
        return picture, picture * int(sampling.value)
    return picture, picture if times.index is None else times.index[:pictures]


def chosen_frames(sampling: Sampling, times: FrameTimes, is_key: np.ndarray) -> np.ndarray:
    """Returns (R,) frame indices: which of a video's N frames its rows show, where every frame was looked at.

    The same rows as `filter_of` and `rows_of` give where ffmpeg chooses.

    Args:
        sampling: How frames are chosen.
        times: All N frames of the video.
        is_key: (N,) bool, which are key frames.
    """
    count = len(times.pts)
    if sampling.kind == "frames":
        return even_frames(count, int(sampling.value))
    if sampling.kind == "fps":
        units = int(times.pts[-1] - times.pts[0]) + max(times.last_duration, 0)
        rows = -(-units * times.time_base * sampling.value // 1)
        return frames_on_screen(times, sampling.value, max(int(rows), 1))
    if sampling.kind == "keyframes":
        return np.flatnonzero(is_key)
    return np.arange(0, count, int(sampling.value) or 1)


def filter_of(sampling: Sampling, frames: int) -> str:
    """Returns the ffmpeg filter that lets the chosen frames through, each once (for fps: once a row), or nothing.

    Args:
        sampling: How frames are chosen.
        frames: N, which only sampling ``frames`` needs.
    """
    if sampling.kind == "fps":
        # round=up gives a frame to the first row at or after its time: the definition of `frames_on_screen`
        return f"setpts=PTS-STARTPTS,fps={sampling.value}:round=up"
    if sampling.kind == "every":
        return f"select=not(mod(n\\,{sampling.value}))"
    if sampling.kind == "frames":
        chosen = np.unique(even_frames(frames, int(sampling.value)))
        return "select=" + _any([f"eq(n\\,{index})" for index in chosen])
    return ""


def _any(terms: list[str]) -> str:
    """Adds terms as a balanced tree: ffmpeg's parser goes no deeper than 100 levels."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return f"({_any(terms[:middle])}+{_any(terms[middle:])})"
