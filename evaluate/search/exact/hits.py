"""From the scores of overlapping units to finds that do not overlap: the best first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .candidates import Units

FIRST_LOOK = 32  # units for each find that is wanted; more are looked at where they turn out not to be enough


@dataclass(frozen=True)
class Rules:
    """When two units are one find.

    Attributes:
        widen: A unit that overlaps a better find becomes part of it if its cosine is at most so much lower; else it is
            left out. None: always left out.
        apart_s: Units whose begins are closer than this overlap, where times are known; 0: those that share a row.
    """

    widen: float | None = None
    apart_s: float = 0.0


@dataclass(eq=False)
class Run:
    """Units that became one find.

    Attributes:
        video: Index of the video, as the units have it.
        first_row: First row, as the units have it.
        past_row: The row after the last.
        start_s: Seconds; NaN where times are not known.
        end_s: Seconds, likewise.
        score: Of its best unit.
        begin: Where it begins to overlap others,
        end: and where that ends.
    """

    video: int
    first_row: int
    past_row: int
    start_s: float
    end_s: float
    score: float
    begin: float
    end: float

    def take(self, other: Run) -> None:
        """Covers what another one covers."""
        self.first_row = min(self.first_row, other.first_row)
        self.past_row = max(self.past_row, other.past_row)
        self.start_s = min(self.start_s, other.start_s)
        self.end_s = max(self.end_s, other.end_s)
        self.begin = min(self.begin, other.begin)
        self.end = max(self.end, other.end)


def best_runs(units: Units, scores: np.ndarray, count: int, rules: Rules) -> list[Run]:
    """Returns the best ``count`` runs of `merge`, without a look at most of the units.

    Args:
        units: M units.
        scores: (M,) their scores.
        count: How many at most.
        rules: When they overlap.
    """
    look = min(len(scores), FIRST_LOOK * count)
    while True:
        # All that are as good as the last one, so that the result does not depend on how a partition treats ties.
        bound = np.partition(scores, len(scores) - look)[len(scores) - look]
        chosen = np.flatnonzero(scores >= bound)
        runs = merge(units, scores, chosen, rules)
        # Worse ones can neither be among the best nor widen them.
        enough = len(runs) >= count and bound <= runs[count - 1].score - (rules.widen or 0.0)
        if enough or len(chosen) == len(scores):
            return runs[:count]
        look = min(len(scores), 4 * len(chosen))


def merge(units: Units, scores: np.ndarray, chosen: np.ndarray, rules: Rules) -> list[Run]:
    """Goes through units from the best to the worst and puts together those that overlap; runs never do.

    Args:
        units: M units.
        scores: (M,) their scores.
        chosen: Indices of those that are looked at.
        rules: When they overlap, and what then.

    Returns:
        The runs, the best first; of equally good ones, the one of the earlier unit.
    """
    order = chosen[np.argsort(-scores[chosen], kind="stable")]
    of_video: dict[int, list[Run]] = {}
    runs: list[Run] = []
    first_row, start_s = units.first_row[order], units.start_s[order]
    past_row = first_row + units.rows[order]
    begin, end = first_row, past_row
    if rules.apart_s:
        known, half = np.isfinite(start_s), rules.apart_s / 2
        begin, end = np.where(known, start_s - half, begin), np.where(known, start_s + half, end)
    columns = (
        units.video[order],
        first_row,
        past_row,
        start_s,
        units.end_s[order],
        scores[order],
        begin,
        end,
    )
    for values in zip(*(column.tolist() for column in columns), strict=True):
        new = Run(*values)
        here = of_video.setdefault(new.video, [])  # in the order of their scores
        touched = [run for run in here if run.begin < new.end and new.begin < run.end]
        if not touched:
            here.append(new)
            runs.append(new)
        elif rules.widen is not None and new.score >= touched[0].score - rules.widen:
            touched[0].take(new)
            for bridged in touched[1:]:
                touched[0].take(bridged)
                here.remove(bridged)
                runs.remove(bridged)
    return runs
