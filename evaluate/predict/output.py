"""Predictions as a table, CSV or JSON."""

from __future__ import annotations

import json

from featx.errors import FeatxError, nearest
from featx.output.formats import csv_text

from ..report.table import Cell, Table, render
from .classify import Prediction

FORMATS = ("table", "json", "csv")


def check_output(format: str) -> None:
    """Refuses an unknown format, before anything is computed.

    Raises:
        FeatxError: Naming the formats.
    """
    if format not in FORMATS:
        raise FeatxError(f"--format {format}: must be one of {', '.join(FORMATS)}{nearest(format, FORMATS)}")


def render_predictions(
    predictions: list[Prediction], failures: dict[str, str], format: str, windowed: bool
) -> str:
    """Returns predictions as text.

    Args:
        predictions: In order.
        failures: Videos that could not be decoded, and why.
        format: One of `FORMATS`.
        windowed: Whether they are about windows.
    """
    if format == "json":
        return _json(predictions, failures)
    return _csv(predictions) if format == "csv" else _table(predictions, windowed)


def _json(predictions: list[Prediction], failures: dict[str, str]) -> str:
    said = [
        {
            "video": one.video,
            "start_s": None if one.start_s is None else round(one.start_s, 6),
            "end_s": None if one.end_s is None else round(one.end_s, 6),
            "classes": [{"class": label, "score": score} for label, score in one.best],
        }
        for one in predictions
    ]
    failed = [{"video": video, "error": error} for video, error in failures.items()]
    return json.dumps({"predictions": said, "failures": failed}, indent=2)


def _csv(predictions: list[Prediction]) -> str:
    rows: list[list[object]] = [["video", "start_s", "end_s", "rank", "class", "score"]]
    rows += [
        [one.video, _seconds(one.start_s, 3), _seconds(one.end_s, 3), rank, label, score]
        for one in predictions
        for rank, (label, score) in enumerate(one.best, start=1)
    ]
    return csv_text(rows).rstrip("\n")


def _table(predictions: list[Prediction], windowed: bool) -> str:
    places = max((len(one.best) for one in predictions), default=0)
    rows: list[list[Cell]] = []
    for one in predictions:
        times: list[Cell] = [_seconds(one.start_s, 2), _seconds(one.end_s, 2)] if windowed else []
        said: list[Cell] = [f"{label} {100 * score:.1f}%" for label, score in one.best]
        rows.append([one.video, *times, *said])
    columns = ["video", *(["start s", "end s"] if windowed else []), *(f"{n}." for n in range(1, places + 1))]
    return render(Table("Predictions", columns, rows, []), "table")


def _seconds(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
