"""Retrieval: ranks among ties and several captions, and the metrics made of them; blocked, so that size is no matter.

The rank of a query is 1 + the number of wrong answers that score higher + half of the wrong answers that score the
same (`average`; `optimistic` counts none of these, `pessimistic` all). Right answers never stand in each other's way:
text to video, every caption is a query and its video the one right answer; video to text, every video is a query and
all of its captions are right, so that its best one counts. R@K is the share of *all* queries whose rank is at most K.

Features that are equal, byte for byte, are compared once: their scores are then equal whatever a matrix product
rounds where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

Ties = Literal["average", "optimistic", "pessimistic"]
SHARE_OF_TIES: dict[Ties, float] = {"average": 0.5, "optimistic": 0.0, "pessimistic": 1.0}
RECALLED = (1, 5, 10, 50)
BLOCK_BYTES = 2**28  # that scores and what is compared with them may take at a time
BYTES_A_SCORE = 10  # the score, a product of it, what is higher and what is equal

# Row numbers (b,) to scores (b, M) against all items.
ScoreRows = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Distinct:
    """Features with equal ones only once.

    Attributes:
        features: (M, D) float32.
        place: (N,) int64, where each of the N features stands there.
        counts: (M,) int64, how many of the N each stands for.
    """

    features: np.ndarray
    place: np.ndarray
    counts: np.ndarray


def distinct(features: np.ndarray) -> Distinct:
    """Returns (N, D) features with equal ones only once.

    Raises:
        ValueError: If a number is not finite.
    """
    if not np.isfinite(features).all():
        raise ValueError("a feature is NaN or infinite")
    features = np.ascontiguousarray(features, dtype=np.float32) + np.float32(
        0
    )  # -0 and 0 are the same number
    as_bytes = features.view(np.dtype((np.void, features.shape[1] * features.itemsize)))[:, 0]
    _, first, place = np.unique(as_bytes, return_index=True, return_inverse=True)
    if len(first) == len(features):  # the order stays as it is where nothing is repeated
        return Distinct(features, np.arange(len(features)), np.ones(len(features), dtype=np.int64))
    return Distinct(features[first], place, np.bincount(place, minlength=len(first)))


@dataclass(frozen=True)
class Corpus:
    """N captions of V videos, as features.

    Attributes:
        texts: Of the sentences.
        videos: Of the videos.
        text_of: (N,) int64, row of each caption in ``texts``.
        video_of: (N,) int64, row of each caption's video in ``videos``.
        caption_video: (N,) int64, the video itself, of V.
        captions_of_text: (rows of texts,) int64, how many captions each row stands for.
    """

    texts: Distinct
    videos: Distinct
    text_of: np.ndarray
    video_of: np.ndarray
    caption_video: np.ndarray
    captions_of_text: np.ndarray


def corpus(texts: np.ndarray, videos: np.ndarray, text_of: np.ndarray, video_of: np.ndarray) -> Corpus:
    """Puts together what ranks are taken of.

    Args:
        texts: (C, D) features of the distinct sentences.
        videos: (V, D) features of the videos; every one has a caption.
        text_of: (N,) the sentence of each caption.
        video_of: (N,) the video of each caption, ascending.

    Raises:
        ValueError: If a number is not finite, or a video has no caption.
    """
    if not np.array_equal(np.unique(video_of), np.arange(len(videos))) or (np.diff(video_of) < 0).any():
        raise ValueError("every video needs a caption, and captions must stand in the order of their videos")
    one, other = distinct(texts), distinct(videos)
    rows = one.place[text_of]
    return Corpus(
        one, other, rows, other.place[video_of], video_of, np.bincount(rows, minlength=len(one.features))
    )


@dataclass(frozen=True)
class Scoring:
    """How captions and videos are compared, in each direction."""

    text_rows: ScoreRows
    video_rows: ScoreRows


def plain(of: Corpus) -> Scoring:
    """Returns the cosine (of features of unit length)."""
    texts, videos = of.texts.features, of.videos.features
    return Scoring(lambda rows: texts[rows] @ videos.T, lambda rows: videos[rows] @ texts.T)


def text_to_video(
    of: Corpus, scoring: Scoring, ties: Ties = "average", block_bytes: int = BLOCK_BYTES
) -> np.ndarray:
    """Returns (N,) ranks of each caption's video among all videos."""
    queries = np.arange(len(of.text_of))
    answers = RightAnswers(of.text_of, queries, of.video_of, of.videos.counts)
    return ranks(scoring.text_rows, answers, ties, block_bytes)


def video_to_text(
    of: Corpus, scoring: Scoring, ties: Ties = "average", block_bytes: int = BLOCK_BYTES
) -> np.ndarray:
    """Returns (V,) ranks of the best of each video's captions among all captions of others."""
    answers = RightAnswers(of.videos.place, of.caption_video, of.text_of, of.captions_of_text)
    return ranks(scoring.video_rows, answers, ties, block_bytes)


@dataclass(frozen=True)
class RightAnswers:
    """Q queries and the items that are right for each.

    Attributes:
        rows: (Q,) the row of each query in the scores.
        query: (P,) pairs of a query, ascending, every one at least once,
        right: (P,) and an item that is right for it.
        counts: (M,) how many items each column of the scores stands for.
    """

    rows: np.ndarray
    query: np.ndarray
    right: np.ndarray
    counts: np.ndarray


def ranks(score_rows: ScoreRows, answers: RightAnswers, ties: Ties, block_bytes: int) -> np.ndarray:
    """Returns (Q,) ranks, see the top of this module.

    Args:
        score_rows: Scores.
        answers: Which items are right for which query.
        ties: What equal scores of wrong items count.
        block_bytes: Memory that a block of scores may take.
    """
    rows, query, right, counts = answers.rows, answers.query, answers.right, answers.counts
    found = np.empty(len(rows))
    uneven = np.flatnonzero(counts != 1)
    more = counts[uneven] - 1
    for some in blocks(len(rows), len(counts), block_bytes):
        scores = score_rows(rows[some])  # (b, M)
        first, past = np.searchsorted(query, [some.start, some.stop])
        own_query, own = (
            query[first:past] - some.start,
            scores[query[first:past] - some.start, right[first:past]],
        )
        best = np.maximum.reduceat(own, np.searchsorted(own_query, np.arange(len(scores))))  # (b,)

        def count(mask: np.ndarray) -> np.ndarray:
            counted: np.ndarray = np.count_nonzero(mask, axis=1) + mask[:, uneven] @ more
            return counted

        equal = count(scores == best[:, None]) - np.bincount(
            own_query[own == best[own_query]], minlength=len(best)
        )
        found[some] = 1 + count(scores > best[:, None]) + SHARE_OF_TIES[ties] * equal
    return found


def blocks(rows: int, columns: int, block_bytes: int) -> Iterator[slice]:
    """Yields slices of rows whose scores against all columns fit into some memory; one row always does."""
    size = max(block_bytes // (BYTES_A_SCORE * columns), 1)
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def rank_metrics(found: np.ndarray, direction: str) -> dict[str, float]:
    """Returns R@K as fractions of all queries, median and mean rank; names begin with ``direction``."""
    metrics = {f"{direction}_r{k}": float((found <= k).mean()) for k in RECALLED}
    return metrics | {
        f"{direction}_median_rank": float(np.median(found)),
        f"{direction}_mean_rank": float(found.mean()),
    }


def retrieval_metrics(of: Corpus, scoring: Scoring, ties: Ties = "average") -> dict[str, float]:
    """Returns the metrics of both directions, ``t2v_…`` and ``v2t_…``."""
    return rank_metrics(text_to_video(of, scoring, ties), "t2v") | rank_metrics(
        video_to_text(of, scoring, ties), "v2t"
    )
