"""What was found as a table, CSV or JSON, or as a list for players and editing programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from featx.errors import FeatxError, nearest, printable
from featx.output.clock import clock
from featx.output.formats import csv_text

from ..report.table import Cell, Table, render
from .answers import Answer
from .exact.search import Hit
from .formats import FORMAT_NAMES
from .moment_lists import edit_list, subtitles
from .places import Place

NOWHERE = Place(None)


def check_search_format(format: str) -> None:
    """Refuses a format that there is not, before anything is computed.

    Raises:
        FeatxError: Naming the formats.
    """
    if format not in FORMAT_NAMES:
        raise FeatxError(
            f"--format {format}: no such format{nearest(format, FORMAT_NAMES) or ': ' + ', '.join(FORMAT_NAMES)}"
        )


def render_answers(
    answers: list[Answer],
    notes: list[str],
    format: str,
    title: str,
    places: Mapping[str, Place] | None = None,
    edl_fps: int = 25,
) -> str:
    """Returns what was found as text.

    Args:
        answers: What was found.
        notes: What has to be said about it; CSV and lists have no place for it.
        format: One of `FORMAT_NAMES`.
        title: Of the table.
        places: Of the videos that were found.
        edl_fps: Frames a second of an edit list's time codes.

    Raises:
        FeatxError: If hits cannot stand in that format.
    """
    places = places or {}
    if format == "json":
        return _json(answers, notes, places)
    if format == "srt":
        return subtitles(answers, places)
    if format == "edl":
        return edit_list(answers, places, title, edl_fps)
    return _csv(answers, places) if format == "csv" else render(_table(answers, notes, title), format)


def time_span(hit: Hit) -> str:
    """Returns from when to when, or from which row to which where times are not known."""
    if math.isnan(hit.start_s):
        return f"rows {hit.first_row} to {hit.first_row + hit.rows - 1}"
    return f"{hit.start_s:.2f} s to {hit.end_s:.2f} s"


def _json(answers: list[Answer], notes: list[str], places: Mapping[str, Place]) -> str:
    said = [
        {
            "query": answer.query,
            "truncated": answer.truncated,
            "finds": [
                {
                    "video": hit.video,
                    "file": places.get(hit.video, NOWHERE).shown,
                    "start": clock_or_empty(hit.start_s),
                    "end": clock_or_empty(hit.end_s),
                    "start_s": _known(hit.start_s),
                    "end_s": _known(hit.end_s),
                    "score": hit.score,
                    "first_row": hit.first_row,
                    "rows": hit.rows,
                }
                for hit in answer.hits
            ],
        }
        for answer in answers
    ]
    return json.dumps({"queries": said, "notes": notes}, indent=2)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def clock_or_empty(value: float) -> str:
    """Returns a time on a clock; nothing for one that nobody knows."""
    return "" if math.isnan(value) else clock(value)


def _csv(answers: list[Answer], places: Mapping[str, Place]) -> str:
    columns = "query rank video start_s end_s score first_row rows start end file"
    rows: list[list[object]] = [[*columns.split()]]
    for answer in answers:
        for rank, hit in enumerate(answer.hits, start=1):
            times = ["" if math.isnan(one) else f"{one:.3f}" for one in (hit.start_s, hit.end_s)]
            clocks = [clock_or_empty(hit.start_s), clock_or_empty(hit.end_s)]
            file = places.get(hit.video, NOWHERE).shown
            what = [hit.video, *times, hit.score, hit.first_row, hit.rows]
            rows.append([answer.query, rank, *what, *clocks, file])
    return csv_text(rows).rstrip("\n")


def _table(answers: list[Answer], notes: list[str], title: str) -> Table:
    several = len(answers) > 1
    rows: list[list[Cell]] = [
        [
            *([printable(answer.query)] if several else []),
            rank,
            printable(hit.video),
            clock_or_empty(hit.start_s),
            clock_or_empty(hit.end_s),
            f"{hit.score:.4f}",
        ]
        for answer in answers
        for rank, hit in enumerate(answer.hits, start=1)
    ]
    columns = [*(["query"] if several else []), "rank", "video", "start", "end", "cosine"]
    return Table(title, columns, rows, notes)
