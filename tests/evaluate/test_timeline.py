"""A timeline shows every bar where it belongs, in pixels and in SVG."""

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from featx.evaluate.report.canvas import PNG_SCALE
from featx.evaluate.report.timeline_drawing import (
    LEFT,
    RIGHT,
    WIDTH,
    Bar,
    Curve,
    Timeline,
    clock,
    colours_of,
    draw_timeline,
    lanes,
)

SVG = "{http://www.w3.org/2000/svg}"


def example() -> Timeline:
    return Timeline(
        "a <video> & more",
        0.0,
        10.0,
        {
            "annotated": [Bar(0, 5, "x", words="x"), Bar(5, 10, "y & z")],
            "proposals": [Bar(2, 4), Bar(3, 6, opacity=0.5), Bar(9, 12)],
            "ambiguous": [],
        },
        [Curve("x", [0, 5, 10], [0, 1, 0.5])],
        [
            (0.0, Image.new("RGB", (64, 48), (255, 0, 0))),
            (0.1, Image.new("RGB", (64, 48))),
            (9.0, Image.new("RGB", (64, 48))),
        ],
    )


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=20))
def test_no_two_bars_of_a_lane_overlap_and_no_lane_is_wasted(spans: list[tuple[int, int]]) -> None:
    bars = [Bar(start, start + length) for start, length in spans]
    chosen = lanes(bars)
    for index, (bar, lane) in enumerate(zip(bars, chosen, strict=True)):
        before = list(zip(bars[:index], chosen[:index], strict=True))
        taken = {other for one, other in before if one.start_s < bar.end_s and bar.start_s < one.end_s}
        assert lane == min(set(range(len(bars))) - taken)


def test_svg_is_xml_with_every_bar_in_its_place() -> None:
    root = ElementTree.fromstring(draw_timeline(example(), ".svg"))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "a <video> & more" in texts and "y & z" in texts and "none" in texts
    scale = (WIDTH - LEFT - RIGHT) / 10
    places = {(round(float(box.get("x")), 1), round(float(box.get("width")), 1)) for box in root.iter(f"{SVG}rect") if box.get("x")}  # fmt: skip
    for start, end in ((0, 5), (5, 10), (2, 4), (3, 6), (9, 10)):  # what ends after the video is cut there
        assert (round(LEFT + start * scale, 1), round((end - start) * scale, 1)) in places
    assert len(list(root.iter(f"{SVG}image"))) == 2  # the second frame would lie on the first


def test_png_shows_the_classes_colours_where_they_are() -> None:
    image = np.asarray(Image.open(io.BytesIO(draw_timeline(example(), ".png"))))
    colours = colours_of(["x", "y & z"])
    y = PNG_SCALE * (12 + 30 + 12)
    for time_s, label in ((4.5, "x"), (5.5, "y & z"), (9.9, "y & z")):
        x = round(PNG_SCALE * (LEFT + (WIDTH - LEFT - RIGHT) * time_s / 10))
        assert tuple(image[y, x]) == colours[label]
    assert (image == (255, 0, 0)).all(axis=2).sum() > 1000  # the frame


def test_a_timeline_may_begin_anywhere() -> None:
    """The same video whose times begin elsewhere: every shape is in the same place, only the times that are written differ."""

    def shapes(start_s: float) -> list[tuple]:
        tracks = {
            "annotated": [Bar(start_s + 1, start_s + 5, "x")],
            "proposals": [Bar(start_s - 3, start_s + 2)],
        }
        curves = [Curve("x", [start_s, start_s + 8], [0.2, 0.9])]
        frames = [(start_s + 4, Image.new("RGB", (64, 48), (255, 0, 0)))]
        root = ElementTree.fromstring(
            draw_timeline(Timeline("v", start_s, start_s + 8, tracks, curves, frames), ".svg")
        )
        written = [text.text for text in root.iter(f"{SVG}text")]
        assert clock(start_s + 3, 1) in written and clock(start_s - 1, 1) not in written
        return [(one.tag, sorted(one.attrib.items())) for one in root.iter() if one.tag != f"{SVG}text"]

    assert shapes(0.0) == shapes(10.0) == shapes(86_400.0)


def test_a_video_of_one_moment_can_be_drawn() -> None:
    assert draw_timeline(Timeline("v", 5.0, 5.0, {"annotated": [Bar(5.0, 5.0, "x")]}), ".svg")


def test_colours_are_different() -> None:
    colours = list(colours_of([str(number) for number in range(30)]).values())
    assert len(set(colours)) == 30


@pytest.mark.parametrize(
    ("time_s", "step_s", "said"),
    [(7, 1, "7"), (7.5, 0.5, "7.5"), (65, 5, "1:05"), (3723, 60, "1:02:03"), (3723.54, 0.2, "1:02:03.5")],
)
def test_times_are_said_as_people_say_them(time_s: float, step_s: float, said: str) -> None:
    assert clock(time_s, step_s) == said
