"""Makes the README's pictures: a moment that a sentence found, and the way from videos to tables.

make pictures
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import featx
from featx.evaluate.report.canvas import Canvas, Colour, canvas_for
from featx.evaluate.search.exact.search import Hit
from featx.store.source_files import source_file
from featx.video.stills import decode_still

WIDTH, MARGIN = 1000, 20
INK: Colour = (31, 35, 40)
FAINT: Colour = (110, 118, 129)
LINE: Colour = (208, 215, 222)
FOUND: Colour = (9, 105, 218)
PANEL: Colour = (246, 248, 250)
FRAMES, FRAME_SIDE, FRAME_GAP = 12, 74, 6.5
CURVE_TOP, CURVE_HEIGHT = 140, 120
SMOOTH_S = 1.0  # the curve's points are means over this time


def make_moment(store: featx.FeatureStore, query: str, file: Path) -> None:
    """Draws the best moment of a store: its video's frames, and the cosine of query and frames over time."""
    hit: Hit = featx.search(store, query, top=1)[0]
    video = store[hit.video]
    rows = video.features.astype(np.float32)
    text = featx.encode_text(store, [query]).numpy()[0]
    cosine = rows @ text / np.linalg.norm(rows, axis=1)  # (N,)
    times = video.pts - video.pts[0]
    around = max(round(SMOOTH_S / float(np.median(np.diff(times)))), 1)
    curve = np.convolve(cosine, np.ones(around), "same") / np.convolve(
        np.ones(len(rows)), np.ones(around), "same"
    )

    canvas = canvas_for(file.suffix, WIDTH, CURVE_TOP + CURVE_HEIGHT + 58)
    canvas.words(MARGIN, 34, f'featx search features "{query}"', INK, 16)
    seconds = float(times[-1])
    canvas.words(WIDTH - MARGIN, 34, f"{hit.video}, {seconds:.0f} s", FAINT, 12, "end")

    def x(time_s: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * time_s / seconds

    low, high = float(curve.min()), float(curve.max())

    def y(value: float) -> float:
        return CURVE_TOP + CURVE_HEIGHT * (1 - (value - low) / (high - low))

    _draw_frames(canvas, store, hit, seconds)
    canvas.box(x(hit.start_s), CURVE_TOP - 8, x(hit.end_s) - x(hit.start_s), CURVE_HEIGHT + 16, FOUND, 0.14)
    canvas.line([(x(0), CURVE_TOP + CURVE_HEIGHT + 8), (x(seconds), CURVE_TOP + CURVE_HEIGHT + 8)], LINE)
    canvas.line([(x(t), y(value)) for t, value in zip(times, curve, strict=True)], FAINT, 1.5)
    inside = (times >= hit.start_s) & (times <= hit.end_s)
    canvas.line([(x(t), y(value)) for t, value in zip(times[inside], curve[inside], strict=True)], FOUND, 3)
    for tick in range(0, int(seconds) + 1, 10):
        canvas.words(x(tick), CURVE_TOP + CURVE_HEIGHT + 24, f"{tick} s", FAINT, 11)
    found = f"found: {hit.start_s:.1f} s to {hit.end_s:.1f} s, cosine {hit.score:.2f}"
    canvas.words(x((hit.start_s + hit.end_s) / 2), CURVE_TOP + CURVE_HEIGHT + 44, found, FOUND, 14, "middle")
    file.write_bytes(canvas.content())


def _draw_frames(canvas: Canvas, store: featx.FeatureStore, hit: Hit, seconds: float) -> None:
    """Draws evenly spaced frames of the video; those of the moment have a frame of its colour."""
    path = source_file(hit.video, store.video_info([hit.video])[hit.video])
    pts = store.pts(hit.video)
    for number in range(FRAMES):
        time_s = (number + 0.5) * seconds / FRAMES
        shown_s = float(pts[np.searchsorted(pts - pts[0], time_s)])
        still = Image.fromarray(decode_still(path, shown_s, 2 * FRAME_SIDE, store.header.file_times))
        left = MARGIN + number * (FRAME_SIDE + FRAME_GAP)
        if hit.start_s <= time_s <= hit.end_s:
            canvas.box(left - 3, 48 - 3, FRAME_SIDE + 6, FRAME_SIDE + 6, FOUND)
        canvas.picture(left, 48, FRAME_SIDE, FRAME_SIDE, still)


STEPS = [
    ("videos", "folders, manifests"),
    ("featx extract", "frozen CLIP, once a frame"),
    ("feature store", "Zarr or HDF5 shards"),
    ("featx train", "prompts, Transformer"),
    ("featx eval, table", "benchmark tables"),
]


def make_pipeline(file: Path) -> None:
    """Draws what is made of what."""
    canvas = canvas_for(file.suffix, WIDTH, 214)
    width, gap, height, top = 164, 35, 62, 24
    lefts = [MARGIN + number * (width + gap) for number in range(len(STEPS))]
    for left, (name, what) in zip(lefts, STEPS, strict=True):
        _draw_box(canvas, left, top, width, height, name, what)
        if left != lefts[-1]:
            _draw_arrow(canvas, left + width + 4, top + height / 2, left + width + gap - 5)
    below, middle = 128, lefts[2] + width / 2
    users = [("featx search", "moments by a sentence"), ("import featx", "your own model")]
    for left, end, (name, what) in zip(lefts[1::2], (5, -5), users, strict=True):
        _draw_box(canvas, left, below, width, height, name, what)
        edge = left + (width if end > 0 else 0) + end
        canvas.line([(middle, top + height + 4), (middle, below + height / 2)], FAINT, 1.5)
        _draw_arrow(canvas, middle, below + height / 2, edge)
    file.write_bytes(canvas.content())


def _draw_box(canvas: Canvas, x: float, y: float, width: float, height: float, name: str, what: str) -> None:
    edge = FOUND if name.startswith(("featx", "import")) else LINE
    canvas.box(x, y, width, height, edge)
    canvas.box(x + 1.5, y + 1.5, width - 3, height - 3, PANEL)
    canvas.words(x + width / 2, y + height / 2 - 3, name, INK, 14, "middle")
    canvas.words(x + width / 2, y + height / 2 + 15, what, FAINT, 11, "middle")


def _draw_arrow(canvas: Canvas, start: float, y: float, end: float) -> None:
    back = -6 if end > start else 6
    canvas.line([(start, y), (end, y)], FAINT, 1.5)
    canvas.line([(end + back, y - 4), (end, y), (end + back, y + 4)], FAINT, 1.5)


def main() -> None:
    """Makes both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--query", required=True)
    parser.add_argument("--to", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    make_moment(featx.open_store(arguments.store), arguments.query, arguments.to / "moment.png")
    make_pipeline(arguments.to / "pipeline.svg")


if __name__ == "__main__":
    main()
