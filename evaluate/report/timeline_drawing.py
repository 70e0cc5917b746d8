"""A video's timeline as a picture: what was annotated, proposed and said, class scores over time, and some frames."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from .canvas import Canvas, Colour, canvas_for, text_width

WIDTH, LEFT, RIGHT, MARGIN = 1200, 170, 16, 12
BAR, LANE_GAP, TRACK_GAP, CURVES, AXIS, FRAME_HEIGHT, FRAME_GAP = 14, 3, 16, 90, 30, 84, 4
INK: Colour = (25, 25, 25)
FAINT: Colour = (120, 120, 120)
GRID: Colour = (228, 228, 228)
GREY: Colour = (150, 150, 150)
MOST_LANES = 6
SHORTEST_S = 1e-3
STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


@dataclass(frozen=True)
class Bar:
    """Something that is said of a part of the video; without a label it is about no class."""

    start_s: float
    end_s: float
    label: str | None = None
    opacity: float = 1.0
    words: str = ""


@dataclass(frozen=True)
class Curve:
    """One class's score over time, between 0 and 1."""

    label: str
    times_s: Sequence[float]
    scores: Sequence[float]


@dataclass(frozen=True)
class Timeline:
    """What a picture shows.

    Attributes:
        title: Above.
        start_s: From here
        end_s: to here.
        tracks: Name to bars, from top to bottom; overlapping ones get lanes, of which `MOST_LANES` are drawn.
        curves: Below them.
        frames: Seconds and picture, drawn where they are shown.
    """

    title: str
    start_s: float
    end_s: float
    tracks: dict[str, list[Bar]]
    curves: list[Curve] = field(default_factory=list)
    frames: list[tuple[float, Image.Image]] = field(default_factory=list)

    def x(self, time_s: float) -> float:
        """Returns where a time is drawn; what is outside lies on the edge."""
        share = (time_s - self.start_s) / max(self.end_s - self.start_s, SHORTEST_S)
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(share, 0.0), 1.0)


def lanes(bars: Sequence[Bar]) -> list[int]:
    """Returns a lane for each bar, the first in which it overlaps none of the bars before it."""
    placed: list[list[Bar]] = []
    chosen = []
    for bar in bars:
        free = (
            number
            for number, lane in enumerate(placed)
            if all(bar.end_s <= other.start_s or bar.start_s >= other.end_s for other in lane)
        )
        number = next(free, len(placed))
        if number == len(placed):
            placed.append([])
        placed[number].append(bar)
        chosen.append(number)
    return chosen


@dataclass(frozen=True)
class _Track:
    """Bars under one name, and the lane of each."""

    name: str
    bars: list[Bar]
    lanes: list[int]

    @property
    def height(self) -> int:
        """How high it is drawn."""
        count = min(max(self.lanes, default=0) + 1, MOST_LANES)
        return count * (BAR + LANE_GAP) - LANE_GAP


def colours_of(labels: Sequence[str]) -> dict[str, Colour]:
    """Returns a colour for each class, far from those of its neighbours in the list."""
    named = {}
    for number, label in enumerate(dict.fromkeys(labels)):
        red, green, blue = colorsys.hls_to_rgb(
            (number * 0.381966) % 1, 0.42, 0.75
        )  # steps of the golden angle
        named[label] = (round(255 * red), round(255 * green), round(255 * blue))
    return named


def draw_timeline(timeline: Timeline, suffix: str) -> bytes:
    """Draws a timeline.

    Args:
        timeline: What it shows.
        suffix: ``.png`` or ``.svg``.

    Returns:
        The file.
    """
    named = [bar.label for bars in timeline.tracks.values() for bar in bars if bar.label is not None]
    colours = colours_of([*named, *(curve.label for curve in timeline.curves)])
    tracks = [_Track(name, bars, lanes(bars)) for name, bars in timeline.tracks.items()]
    tracks_height = sum(track.height + TRACK_GAP for track in tracks)
    legend = _legend_rows(list(colours))
    height = MARGIN + 30 + tracks_height + AXIS + 18 * len(legend) + MARGIN
    height += CURVES + TRACK_GAP if timeline.curves else 0
    height += FRAME_HEIGHT + 8 if timeline.frames else 0
    canvas = canvas_for(suffix, WIDTH, height)
    canvas.words(MARGIN, MARGIN + 14, timeline.title, INK, 15)
    top = MARGIN + 30.0
    bottom = top + tracks_height
    bottom += CURVES + TRACK_GAP if timeline.curves else 0
    _draw_axis(canvas, timeline, top - 4, bottom)
    for track in tracks:
        _draw_track(canvas, track, top, timeline, colours)
        top += track.height + TRACK_GAP
    if timeline.curves:
        _draw_curves(canvas, timeline, top, colours)
        top += CURVES + TRACK_GAP
    top += AXIS
    if timeline.frames:
        _draw_frames(canvas, timeline, top)
        top += FRAME_HEIGHT + 8
    for row in legend:
        x = float(LEFT)
        for label in row:
            canvas.box(x, top + 2, 10, 10, colours[label])
            canvas.words(x + 14, top + 12, label, INK, 11)
            x += text_width(label, 11) + 34
        top += 18
    return canvas.content()


def _draw_axis(canvas: Canvas, timeline: Timeline, top: float, bottom: float) -> None:
    duration_s = timeline.end_s - timeline.start_s
    step = next((step for step in STEPS_S if duration_s / step <= 14), STEPS_S[-1])
    first, last = math.ceil(timeline.start_s / step - 1e-9), math.floor(timeline.end_s / step + 1e-9)
    for number in range(first, last + 1):
        x = timeline.x(number * step)
        canvas.line([(x, top), (x, bottom)], GRID)
        canvas.words(x, bottom + 13, clock(number * step, step), FAINT, 10, "middle")


def clock(time_s: float, step_s: float = 1) -> str:
    """Returns a time as people read it: 7, 7.5, 1:05, 1:02:03, and of steps below a second 1:02:03.5."""
    if time_s < 60:
        return f"{time_s:.1f}" if step_s < 1 else f"{time_s:.0f}"
    minutes, seconds = divmod(round(time_s, 1 if step_s < 1 else None), 60)
    hours, minutes = divmod(int(minutes), 60)
    rest = f"{seconds:04.1f}" if step_s < 1 else f"{seconds:02d}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"


def _draw_track(
    canvas: Canvas, track: _Track, top: float, timeline: Timeline, colours: dict[str, Colour]
) -> None:
    hidden = sum(lane >= MOST_LANES for lane in track.lanes)
    canvas.words(LEFT - 10, top + 11, track.name, INK, 12, "end")
    if hidden:
        canvas.words(LEFT - 10, top + 24, f"{hidden} more overlap", FAINT, 10, "end")
    if not track.bars:
        canvas.words(LEFT + 3, top + 11, "none", FAINT, 10)
    for bar, lane in zip(track.bars, track.lanes, strict=True):
        if lane >= MOST_LANES:
            continue
        x, past = timeline.x(bar.start_s), timeline.x(bar.end_s)
        y = top + lane * (BAR + LANE_GAP)
        canvas.box(x, y, past - x, BAR, GREY if bar.label is None else colours[bar.label], bar.opacity)
        if bar.words and text_width(bar.words, 10) + 6 < past - x:
            canvas.words(x + 3, y + 11, bar.words, INK if bar.opacity < 0.6 else (255, 255, 255), 10)


def _draw_curves(canvas: Canvas, timeline: Timeline, top: float, colours: dict[str, Colour]) -> None:
    canvas.words(LEFT - 10, top + 11, "class scores", INK, 12, "end")
    for score in (0.0, 0.5, 1.0):
        y = top + CURVES * (1 - score)
        canvas.line([(LEFT, y), (WIDTH - RIGHT, y)], GRID)
        if score < 1:
            canvas.words(LEFT - 10, y + 4, f"{score:g}", FAINT, 9, "end")
    for curve in timeline.curves:
        points = [
            (timeline.x(time), top + CURVES * (1 - score))
            for time, score in zip(curve.times_s, curve.scores, strict=True)
        ]
        if len(points) > 1:
            canvas.line(points, colours[curve.label], 1.5)


def _draw_frames(canvas: Canvas, timeline: Timeline, top: float) -> None:
    past = -np.inf
    for time_s, image in timeline.frames:
        width = FRAME_HEIGHT * image.width / image.height
        x = min(max(timeline.x(time_s) - width / 2, LEFT), WIDTH - RIGHT - width)
        if x < past + FRAME_GAP:
            continue  # the one before needs the place
        canvas.picture(x, top, width, FRAME_HEIGHT, image)
        past = x + width


def _legend_rows(labels: list[str]) -> list[list[str]]:
    rows: list[list[str]] = []
    used = np.inf
    for label in labels:
        needed = text_width(label, 11) + 34
        if used + needed > WIDTH - LEFT - RIGHT:
            rows.append([])
            used = 0.0
        rows[-1].append(label)
        used += needed
    return rows
