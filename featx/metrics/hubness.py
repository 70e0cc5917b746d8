"""Scores that look at more than a pair: dual softmax and query-bank normalisation. Blocked, and never mixed with plain ones.

Some items are near to every query (hubs). Both ways lower an item's score by how much other queries like it.
"""

from __future__ import annotations

import numpy as np

from featx.metrics.retrieval import BLOCK_BYTES, Corpus, ScoreRows, Scoring, blocks

BANK_SHARPNESS = 20.0  # QB-Norm's beta (Bogolin et al., CVPR 2022, section 4)


def dual_softmax(of: Corpus, temperature: float, block_bytes: int = BLOCK_BYTES) -> Scoring:
    """Returns the log of softmax over videos times softmax over captions (dual softmax: Cheng et al. 2021, CAMoE).

    log p(video | caption) p(caption | video) = 2 s / t - a(caption) - b(video), with a and b the logsumexp of s / t over
    all videos and all captions of the test. What is the same for all answers to a query is left out.

    Args:
        of: Captions and videos.
        temperature: t, that of the loss.
        block_bytes: Memory that a block of scores may take.
    """
    texts, videos = of.texts.features, of.videos.features
    of_text = log_sum_exp(videos, of.videos.counts, texts, 1 / temperature, block_bytes)  # (C,)
    of_video = log_sum_exp(texts, of.captions_of_text, videos, 1 / temperature, block_bytes)  # (V,)
    return Scoring(
        lambda rows: (texts[rows] * (2 / temperature)) @ videos.T - of_video,
        lambda rows: (videos[rows] * (2 / temperature)) @ texts.T - of_text,
    )


def query_bank(
    of: Corpus,
    bank_texts: np.ndarray,
    bank_videos: np.ndarray,
    sharpness: float = BANK_SHARPNESS,
    block_bytes: int = BLOCK_BYTES,
) -> Scoring:
    """Returns QB-Norm's dynamic inverted softmax (Bogolin et al., CVPR 2022, section 3.3).

    An item's exp(sharpness s) is divided by the sum of that over a bank of other queries, but only for queries whose
    nearest item is the nearest one of a query of the bank too.

    Args:
        of: Captions and videos.
        bank_texts: (K, D) sentences that are asked about the videos.
        bank_videos: (K, D) videos that the captions are asked about.
        sharpness: QB-Norm's beta.
        block_bytes: Memory that a block of scores may take.
    """
    texts, videos = of.texts.features, of.videos.features
    return Scoring(
        _inverted(texts, videos, bank_texts, sharpness, block_bytes),
        _inverted(videos, texts, bank_videos, sharpness, block_bytes),
    )


def _inverted(
    queries: np.ndarray, items: np.ndarray, bank: np.ndarray, sharpness: float, block_bytes: int
) -> ScoreRows:
    of_item = log_sum_exp(bank, np.ones(len(bank), dtype=np.int64), items, sharpness, block_bytes)  # (M,)
    is_hub = np.zeros(len(items), dtype=bool)
    for some in blocks(len(bank), len(items), block_bytes):
        is_hub[(bank[some] @ items.T).argmax(axis=1)] = True

    def score_rows(rows: np.ndarray) -> np.ndarray:
        scores: np.ndarray = (queries[rows] * np.float32(sharpness)) @ items.T  # (b, M)
        scores[is_hub[scores.argmax(axis=1)]] -= of_item
        return scores

    return score_rows


def log_sum_exp(
    queries: np.ndarray, counts: np.ndarray, items: np.ndarray, scale: float, block_bytes: int
) -> np.ndarray:
    """Returns (M,) float32, for each item the log of the sum over queries of ``count * exp(scale * score)``.

    Args:
        queries: (Q, D).
        counts: (Q,) how many queries each row stands for.
        items: (M, D).
        scale: Of the scores.
        block_bytes: Memory that a block of scores may take.
    """
    total = np.full(len(items), -np.inf)
    for some in blocks(len(queries), len(items), block_bytes):
        scores = (queries[some] * np.float32(scale)) @ items.T  # (b, M)
        most = scores.max(axis=0)
        np.exp(scores - most, out=scores)
        with np.errstate(divide="ignore"):  # rows that stand for no query at all: the log of 0 adds nothing
            total = np.logaddexp(total, most + np.log(counts[some].astype(np.float32) @ scores))
    return total.astype(np.float32)
