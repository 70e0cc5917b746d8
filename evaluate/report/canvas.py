"""Drawing once, for PNG and for SVG: rectangles, lines, words and small pictures."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from functools import cache
from typing import Literal, Protocol

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Anchor = Literal["start", "middle", "end"]
PAPER: Colour = (255, 255, 255)
PNG_SCALE = 2  # pixels of a PNG to a unit: legible where screens are fine
ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


class Canvas(Protocol):
    """Something to draw on; units from the upper left corner."""

    def box(self, x: float, y: float, width: float, height: float, fill: Colour, opacity: float = 1) -> None:
        """Fills a rectangle."""
        ...

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: float = 1) -> None:
        """Joins points."""
        ...

    def words(
        self, x: float, y: float, text: str, colour: Colour, size: float = 12, anchor: Anchor = "start"
    ) -> None:
        """Writes one line whose foot is at y."""
        ...

    def picture(self, x: float, y: float, width: float, height: float, image: Image.Image) -> None:
        """Puts a picture into a rectangle."""
        ...

    def content(self) -> bytes:
        """Returns the file."""
        ...


class PngCanvas:
    """Draws pixels."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (PNG_SCALE * width, PNG_SCALE * height), PAPER)
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def box(self, x: float, y: float, width: float, height: float, fill: Colour, opacity: float = 1) -> None:
        """Fills a rectangle; one thinner than a pixel is a pixel wide."""
        left, top = round(PNG_SCALE * x), round(PNG_SCALE * y)
        right, bottom = round(PNG_SCALE * (x + width)), round(PNG_SCALE * (y + height))
        place = (left, top, max(right - 1, left), max(bottom - 1, top))
        self._draw.rectangle(place, (*fill, round(255 * opacity)))

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: float = 1) -> None:
        """Joins points."""
        scaled = [(PNG_SCALE * x, PNG_SCALE * y) for x, y in points]
        self._draw.line(scaled, colour, max(round(PNG_SCALE * width), 1))

    def words(
        self, x: float, y: float, text: str, colour: Colour, size: float = 12, anchor: Anchor = "start"
    ) -> None:
        """Writes one line whose foot is at y."""
        font = _font(round(PNG_SCALE * size))
        self._draw.text((PNG_SCALE * x, PNG_SCALE * y), text, colour, font, anchor=ANCHORS[anchor])

    def picture(self, x: float, y: float, width: float, height: float, image: Image.Image) -> None:
        """Puts a picture into a rectangle."""
        size = (round(PNG_SCALE * width), round(PNG_SCALE * height))
        self._image.paste(image.convert("RGB").resize(size), (round(PNG_SCALE * x), round(PNG_SCALE * y)))

    def content(self) -> bytes:
        """Returns the PNG."""
        file = io.BytesIO()
        self._image.save(file, "PNG", optimize=True)
        return file.getvalue()


class SvgCanvas:
    """Writes elements; text stays text, pictures are inside the file."""

    def __init__(self, width: int, height: int) -> None:
        self._elements = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            'font-family="sans-serif">',
            f'<rect width="{width}" height="{height}" fill="{_hex(PAPER)}"/>',
        ]

    def box(self, x: float, y: float, width: float, height: float, fill: Colour, opacity: float = 1) -> None:
        """Fills a rectangle."""
        self._elements.append(
            f'<rect x="{x:.2f}" y="{y:.2f}" width="{max(width, 0.5):.2f}" height="{max(height, 0.5):.2f}" '
            f'fill="{_hex(fill)}" fill-opacity="{opacity:.3f}"/>'
        )

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: float = 1) -> None:
        """Joins points."""
        joined = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
        self._elements.append(
            f'<polyline points="{joined}" fill="none" stroke="{_hex(colour)}" stroke-width="{width:g}"/>'
        )

    def words(
        self, x: float, y: float, text: str, colour: Colour, size: float = 12, anchor: Anchor = "start"
    ) -> None:
        """Writes one line whose foot is at y."""
        self._elements.append(
            f'<text x="{x:.2f}" y="{y:.2f}" fill="{_hex(colour)}" font-size="{size:g}" text-anchor="{anchor}">'
            f"{html.escape(text)}</text>"
        )

    def picture(self, x: float, y: float, width: float, height: float, image: Image.Image) -> None:
        """Puts a picture into a rectangle."""
        file = io.BytesIO()
        image.convert("RGB").save(file, "JPEG", quality=85)
        data = base64.b64encode(file.getvalue()).decode()
        self._elements.append(
            f'<image x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" '
            f'preserveAspectRatio="none" href="data:image/jpeg;base64,{data}"/>'
        )

    def content(self) -> bytes:
        """Returns the SVG."""
        return "\n".join([*self._elements, "</svg>\n"]).encode()


def canvas_for(suffix: str, width: int, height: int) -> Canvas:
    """Returns what draws files with an ending, ``.png`` or ``.svg``."""
    return SvgCanvas(width, height) if suffix == ".svg" else PngCanvas(width, height)


def text_width(text: str, size: float = 12) -> float:
    """Returns how wide a line of text is, near enough for both kinds."""
    return _font(round(PNG_SCALE * size)).getlength(text) / PNG_SCALE


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


@cache
def _font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(pixels)
