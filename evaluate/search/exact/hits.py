"""From the scores of overlapping candidates to hits that do not overlap: the best first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .candidates import Candidates

FIRST_LOOK = (
    32  # candidates for each hit that is wanted; more are looked at where they turn out not to be enough
)


@dataclass(frozen=True)
class Rules:
    """When two candidates are one hit.

    Attributes:
        widen: A candidate that overlaps a better hit becomes part of it if its cosine is at most so much lower; else it is
            left out. None: always left out.
        apart_s: Candidates whose begins are closer than this overlap, where times are known; 0: those that share a row.
    """

    widen: float | None = None
    apart_s: float = 0.0


@dataclass(eq=False)
class HitSpan:
    """Candidates that became one hit.

    Attributes:
        video: Index of the video, as the candidates have it.
        first_row: First row, as the candidates have it.
        past_row: The row after the last.
        start_s: Seconds; NaN where times are not known.
        end_s: Seconds, likewise.
        score: Of its best candidate.
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

    def absorb(self, other: HitSpan) -> None:
        """Covers what another one covers."""
        self.first_row = min(self.first_row, other.first_row)
        self.past_row = max(self.past_row, other.past_row)
        self.start_s = min(self.start_s, other.start_s)
        self.end_s = max(self.end_s, other.end_s)
        self.begin = min(self.begin, other.begin)
        self.end = max(self.end, other.end)


def best_spans(candidates: Candidates, scores: np.ndarray, count: int, rules: Rules) -> list[HitSpan]:
    """Returns the best ``count`` spans of `merge`, without a look at most of the candidates.

    Args:
        candidates: M candidates.
        scores: (M,) their scores.
        count: How many at most.
        rules: When they overlap.
    """
    look = min(len(scores), FIRST_LOOK * count)
    while True:
        # All that are as good as the last one, so that the result does not depend on how a partition treats ties.
        bound = np.partition(scores, len(scores) - look)[len(scores) - look]
        chosen = np.flatnonzero(scores >= bound)
        spans = merge(candidates, scores, chosen, rules)
        # Worse ones can neither be among the best nor widen them.
        enough = len(spans) >= count and bound <= spans[count - 1].score - (rules.widen or 0.0)
        if enough or len(chosen) == len(scores):
            return spans[:count]
        look = min(len(scores), 4 * len(chosen))


def merge(candidates: Candidates, scores: np.ndarray, chosen: np.ndarray, rules: Rules) -> list[HitSpan]:
    """Goes through candidates from the best to the worst and puts together those that overlap; spans never do.

    Args:
        candidates: M candidates.
        scores: (M,) their scores.
        chosen: Indices of those that are looked at.
        rules: When they overlap, and what then.

    Returns:
        The spans, the best first; of equally good ones, the one of the earlier candidate.
    """
    order = chosen[np.argsort(-scores[chosen], kind="stable")]
    of_video: dict[int, list[HitSpan]] = {}
    spans: list[HitSpan] = []
    first_row, start_s = candidates.first_row[order], candidates.start_s[order]
    past_row = first_row + candidates.rows[order]
    begin, end = first_row, past_row
    if rules.apart_s:
        known, half = np.isfinite(start_s), rules.apart_s / 2
        begin, end = np.where(known, start_s - half, begin), np.where(known, start_s + half, end)
    columns = (
        candidates.video[order],
        first_row,
        past_row,
        start_s,
        candidates.end_s[order],
        scores[order],
        begin,
        end,
    )
    for values in zip(*(column.tolist() for column in columns), strict=True):
        new = HitSpan(*values)
        here = of_video.setdefault(new.video, [])  # in the order of their scores
        touched = [span for span in here if span.begin < new.end and new.begin < span.end]
        if not touched:
            here.append(new)
            spans.append(new)
        elif rules.widen is not None and new.score >= touched[0].score - rules.widen:
            touched[0].absorb(new)
            for bridged in touched[1:]:
                touched[0].absorb(bridged)
                here.remove(bridged)
                spans.remove(bridged)
    return spans
