"""A confusion matrix as a picture, readable for 5 classes and for 700."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDEST = 2000  # pixels of the matrix itself
LARGEST_CELL, SMALLEST_LABEL = 44, 11
LONGEST_LABEL = 28  # characters
MARGIN = 12
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
PAPER, INK, GRID = (255, 255, 255), (20, 20, 20), (225, 225, 225)
DARK = np.array([8, 48, 107])


def confusion_picture(counts: np.ndarray, labels: list[str], title: str) -> bytes:
    """Draws how often each class was taken for each.

    Args:
        counts: (C, C), row the true class, column the one that was said.
        labels: Names of the C classes.
        title: Stands above.

    Returns:
        A PNG. Colours are shares of a row; with few classes the counts are written in the cells.
    """
    classes = len(labels)
    cell = max(1, min(LARGEST_CELL, WIDEST // classes))
    font_size = max(SMALLEST_LABEL, min(15, cell - 3))
    font = ImageFont.load_default(font_size)
    heading = ImageFont.load_default(17)
    every = -(-(font_size + 2) // cell)  # a label needs this many rows
    shown = [_shorten(label) for label in labels]
    widest = max(round(font.getlength(label)) for label in shown)
    left = MARGIN + 22 + widest + 8
    top = MARGIN + 30
    side = cell * classes
    width = max(left + side + MARGIN, round(heading.getlength(title)) + 2 * MARGIN)
    picture = Image.new("RGB", (width, top + side + 8 + widest + 26 + MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, MARGIN), title, INK, heading)
    picture.paste(_matrix(counts, cell), (left, top))
    if cell >= 6:
        for line in range(classes + 1):
            draw.line([(left, top + line * cell), (left + side, top + line * cell)], GRID)
            draw.line([(left + line * cell, top), (left + line * cell, top + side)], GRID)
    if cell >= 24:
        _write_counts(draw, counts, cell, left, top)
    for index in range(0, classes, every):
        middle = top + index * cell + cell // 2
        draw.text((left - 6, middle), shown[index], INK, font, anchor="rm")
        _write_upright(picture, shown[index], font, (left + index * cell + cell // 2, top + side + 6))
    _write_upright(picture, "true class", heading, (MARGIN + 8, top + side // 2 - 45))
    below = top + side + 8 + widest + 8
    draw.text((left + side // 2, below), "said by the model", INK, heading, anchor="ma")
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return content.getvalue()


def _matrix(counts: np.ndarray, cell: int) -> Image.Image:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (C, C)
    shades = np.sqrt(shares)[..., None]  # rare confusions are what one looks for
    pixels = (255 * (1 - shades) + DARK * shades).round().astype(np.uint8)  # (C, C, 3)
    return Image.fromarray(pixels.repeat(cell, axis=0).repeat(cell, axis=1))


def _write_counts(draw: ImageDraw.ImageDraw, counts: np.ndarray, cell: int, left: int, top: int) -> None:
    font = ImageFont.load_default(12)
    totals = np.maximum(counts.sum(axis=1), 1)
    for row, column in np.argwhere(counts):
        dark = counts[row, column] / totals[row] > 0.25
        place = (left + column * cell + cell // 2, top + row * cell + cell // 2)
        draw.text(place, str(counts[row, column]), PAPER if dark else INK, font, anchor="mm")


def _write_upright(picture: Image.Image, text: str, font: Font, place: tuple[int, int]) -> None:
    """Writes text that is read from below, its middle at x and its end at y."""
    left, top, right, bottom = font.getbbox(text)
    length, height = round(right - left) + 3, round(bottom - top) + 6
    strip = Image.new("RGB", (length, height), PAPER)
    ImageDraw.Draw(strip).text((1, 3 - top), text, INK, font)
    picture.paste(strip.rotate(90, expand=True), (place[0] - height // 2, place[1]))


def _shorten(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
