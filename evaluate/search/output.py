"""What was found as a table, CSV or JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from featx.errors import printable
from featx.output.formats import csv_text

from ..report.table import Cell, Table, render
from .exact.search import Hit


@dataclass(frozen=True)
class Answer:
    """A query, its hits (the best first), and whether it was a text that had to be cut."""

    query: str
    hits: list[Hit]
    truncated: bool = False


def render_answers(answers: list[Answer], notes: list[str], format: str, title: str) -> str:
    """Returns what was found as text, in one of the formats of `featx.evaluate.report.table`."""
    if format == "json":
        return _json(answers, notes)
    return _csv(answers) if format == "csv" else render(_table(answers, notes, title), format)


def time_span(hit: Hit) -> str:
    """Returns from when to when, or from which row to which where times are not known."""
    if math.isnan(hit.start_s):
        return f"rows {hit.first_row} to {hit.first_row + hit.rows - 1}"
    return f"{hit.start_s:.2f} s to {hit.end_s:.2f} s"


def _json(answers: list[Answer], notes: list[str]) -> str:
    said = [
        {
            "query": answer.query,
            "truncated": answer.truncated,
            "finds": [
                {
                    "video": hit.video,
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


def _csv(answers: list[Answer]) -> str:
    rows: list[list[object]] = [["query", "rank", "video", "start_s", "end_s", "score", "first_row", "rows"]]
    for answer in answers:
        for rank, hit in enumerate(answer.hits, start=1):
            times = ["" if math.isnan(one) else f"{one:.3f}" for one in (hit.start_s, hit.end_s)]
            rows.append([answer.query, rank, hit.video, *times, hit.score, hit.first_row, hit.rows])
    return csv_text(rows).rstrip("\n")


def _table(answers: list[Answer], notes: list[str], title: str) -> Table:
    several = len(answers) > 1
    rows: list[list[Cell]] = [
        [
            *([printable(answer.query)] if several else []),
            rank,
            printable(hit.video),
            "" if math.isnan(hit.start_s) else f"{hit.start_s:.2f}",
            "" if math.isnan(hit.end_s) else f"{hit.end_s:.2f}",
            f"{hit.score:.4f}",
        ]
        for answer in answers
        for rank, hit in enumerate(answer.hits, start=1)
    ]
    columns = [*(["query"] if several else []), "rank", "video", "start s", "end s", "cosine"]
    return Table(title, columns, rows, notes)
