"""A contact sheet: the hits of each query with their pictures, as one HTML page or one PNG."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from featx.errors import FeatxError
from featx.files.atomic import write_atomically

from .answers import Answer
from .output import time_span
from .pictures import HEIGHT, Picture, Pictured

ENDINGS = (".html", ".png")
STYLE = """
body { font-family: system-ui, sans-serif; margin: 2em; color: #222; background: #fafafa }
h1 { font-size: 1.2em } h2 { font-size: 1.1em; margin: 1.5em 0 .5em }
ol { list-style: none; padding: 0 } li { margin: 0 0 1em }
.what { margin: 0 0 .3em; overflow-wrap: anywhere } .what b { margin-right: .6em } .what span { margin-left: .8em; color: #666 }
.pictures { display: flex; flex-wrap: wrap; gap: 6px }
figure { margin: 0 } figcaption { font-size: .75em; color: #666 }
img { height: 160px; display: block; border-radius: 3px }
.none { height: 160px; width: 220px; box-sizing: border-box; padding: .6em; border: 1px dashed #c66; border-radius: 3px; font-size: .75em; color: #a33; overflow: auto; overflow-wrap: anywhere }
.note { color: #666; font-size: .85em; margin: .2em 0 }
"""
MARGIN, GAP, LINE = 16, 6, 22  # pixels
PAPER, INK, PALE, RED = (250, 250, 250), (30, 30, 30), (110, 110, 110), (160, 50, 50)
MOST_PIXELS = 2**28


class Words(NamedTuple):
    """A line of text in a PNG."""

    text: str
    size: int
    colour: tuple[int, int, int]


def check_sheet(file: Path) -> None:
    """Refuses a file that is neither HTML nor PNG, before anything is computed.

    Raises:
        FeatxError: Naming the endings.
    """
    if file.suffix.lower() not in ENDINGS:
        raise FeatxError(f"--contact-sheet {file}: must end in {' or '.join(ENDINGS)}")


def write_sheet(file: Path, title: str, answers: list[Answer], pictured: Pictured) -> None:
    """Writes a contact sheet, whole or not at all.

    Args:
        file: Its ending says what it becomes.
        title: Stands above.
        answers: The queries and what was found.
        pictured: Pictures of the hits.

    Raises:
        FeatxError: If the file cannot be written, or a PNG would be too large to be shown.
    """
    page = file.suffix.lower() == ".html"
    content = (
        html_sheet(title, answers, pictured).encode() if page else png_sheet(file, title, answers, pictured)
    )
    try:
        write_atomically(file, content)
    except OSError as error:
        raise FeatxError(f"--contact-sheet {file}: cannot write it ({error.strerror})") from error


def html_sheet(title: str, answers: list[Answer], pictured: Pictured) -> str:
    """Returns one page that needs no other file."""
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style></head>',
        f"<body><h1>{html.escape(title)}</h1>",
        *(f'<p class="note">{html.escape(problem)}</p>' for problem in pictured.problems),
    ]
    for answer in answers:
        parts.append(f"<section><h2>{html.escape(answer.query)}</h2><ol>")
        for rank, hit in enumerate(answer.hits, start=1):
            parts.append(
                f'<li><p class="what"><b>{rank}.</b>{html.escape(hit.video)}<span>{time_span(hit)}</span>'
                f'<span>cosine {hit.score:.4f}</span></p><div class="pictures">'
            )
            parts += [_figure(picture) for picture in pictured.of[hit]]
            parts.append("</div></li>")
        parts.append("</ol></section>")
    return "\n".join([*parts, "</body></html>", ""])


def _figure(picture: Picture) -> str:
    caption = f"<figcaption>{picture.time_s:.2f} s</figcaption>"
    if picture.problem:
        return f'<figure><div class="none">no picture: {html.escape(picture.problem)}</div>{caption}</figure>'
    data = base64.b64encode(picture.jpeg).decode()
    return f'<figure><img alt="frame at {picture.time_s:.2f} s" src="data:image/jpeg;base64,{data}">{caption}</figure>'


def png_sheet(file: Path, title: str, answers: list[Answer], pictured: Pictured) -> bytes:
    """Returns a PNG with the same content.

    Raises:
        FeatxError: If it would have more than `MOST_PIXELS` pixels.
    """
    head = [Words(title, 18, INK), *(Words(problem, 13, RED) for problem in pictured.problems)]
    rows: list[tuple[list[Words], list[Picture]]] = [(head, [])]
    for answer in answers:
        rows.append(([Words(answer.query, 16, INK)], []))
        for rank, hit in enumerate(answer.hits, start=1):
            text = f"{rank}.  {hit.video}   {time_span(hit)}   cosine {hit.score:.4f}"
            rows.append(([Words(text, 14, PALE)], pictured.of[hit]))
    strips = [[_opened(picture) for picture in pictures] for _, pictures in rows]
    heights = [
        len(lines) * LINE + bool(strip) * (HEIGHT + LINE) + GAP
        for (lines, _), strip in zip(rows, strips, strict=True)
    ]
    widths = [sum(tile.width + GAP for tile in strip) for strip in strips]
    widths += [round(_font(words.size).getlength(words.text)) for lines, _ in rows for words in lines]
    width, height = max(widths) + 2 * MARGIN, sum(heights) + 2 * MARGIN
    if width * height > MOST_PIXELS:
        raise FeatxError(
            f"--contact-sheet {file}: would have {width} x {height} pixels; take .html, or less --top"
        )
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    y = MARGIN
    for (lines, pictures), strip, row_height in zip(rows, strips, heights, strict=True):
        top = y
        for words in lines:
            draw.text((MARGIN, top), words.text, words.colour, _font(words.size))
            top += LINE
        x = MARGIN
        for picture, tile in zip(pictures, strip, strict=True):
            sheet.paste(tile, (x, top))
            draw.text((x, top + HEIGHT + 2), f"{picture.time_s:.2f} s", PALE, _font(12))
            x += tile.width + GAP
        y += row_height
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def _opened(picture: Picture) -> Image.Image:
    if not picture.problem:
        return Image.open(io.BytesIO(picture.jpeg))
    tile = Image.new("RGB", (220, HEIGHT), PAPER)
    draw = ImageDraw.Draw(tile)
    draw.rectangle((0, 0, tile.width - 1, tile.height - 1), outline=RED)
    text = f"no picture: {picture.problem}"
    for number in range(0, min(len(text), 8 * 30), 30):
        draw.text((8, 8 + 16 * (number // 30)), text[number : number + 30], RED, _font(12))
    return tile


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
