"""Ranks are those of a brute-force count, whatever is equal, repeated, or cut into blocks."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp

from featx.metrics.hubness import dual_softmax, query_bank
from featx.metrics.retrieval import (
    Corpus,
    Scoring,
    corpus,
    plain,
    rank_metrics,
    retrieval_metrics,
    text_to_video,
    video_to_text,
)

TIES = ("average", "optimistic", "pessimistic")


def count_rank(score: float, others: list[float], ties: str) -> float:
    higher = sum(other > score for other in others)
    equal = sum(other == score for other in others)
    return 1 + higher + {"average": equal / 2, "optimistic": 0, "pessimistic": equal}[ties]


def brute_force(scores: np.ndarray, video_of: np.ndarray, ties: str) -> tuple[list[float], list[float]]:
    """Ranks of (N, V) scores of captions against videos, one comparison after another."""
    captions, videos = range(scores.shape[0]), range(scores.shape[1])
    t2v = [
        count_rank(scores[i, video_of[i]], [scores[i, v] for v in videos if v != video_of[i]], ties)
        for i in captions
    ]
    v2t = []
    for v in videos:
        others = [scores[i, v] for i in captions if video_of[i] != v]
        v2t.append(min(count_rank(scores[i, v], others, ties) for i in captions if video_of[i] == v))
    return t2v, v2t


def draw(seed: int, videos: int, texts: int, most: int):
    """Small whole numbers: many scores are equal, sentences and videos repeat, and every product is exact."""
    rng = np.random.default_rng(seed)
    video_of = np.repeat(np.arange(videos), rng.integers(1, most + 1, videos))
    text_of = rng.integers(0, texts, len(video_of))
    features = [rng.integers(-1, 2, (count, 3)).astype(np.float32) for count in (texts, videos)]
    return *features, text_of, video_of


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    videos=st.integers(1, 9),
    texts=st.integers(1, 12),
    most=st.integers(1, 4),
    ties=st.sampled_from(TIES),
    block_bytes=st.sampled_from([1, 100, 2**28]),
)
def test_ranks_equal_a_brute_force_count(seed, videos, texts, most, ties, block_bytes) -> None:
    text, video, text_of, video_of = draw(seed, videos, texts, most)
    of = corpus(text, video, text_of, video_of)
    t2v, v2t = brute_force(text[text_of] @ video.T, video_of, ties)
    assert text_to_video(of, plain(of), ties, block_bytes).tolist() == t2v
    assert video_to_text(of, plain(of), ties, block_bytes).tolist() == v2t


@pytest.mark.parametrize("block_bytes", [1, 2_000, 2**28])
def test_equal_features_are_equal_scores_however_the_product_is_cut(block_bytes: int) -> None:
    """Real numbers, whose products round: what is the same must not be parted by where it stands."""
    rng = np.random.default_rng(0)
    text, video = (rng.standard_normal((count, 67)).astype(np.float32) for count in (40, 50))
    text_of, video_of = np.arange(100) % 40, np.repeat(np.arange(50), 2)
    video[25:] = video[:25]
    of = corpus(text, video, text_of, video_of)
    scores = text.astype(np.float64) @ video.astype(np.float64).T  # equal rows are equal in whatever order
    t2v, v2t = brute_force(scores[text_of], video_of, "average")
    assert text_to_video(of, plain(of), "average", block_bytes).tolist() == t2v
    assert video_to_text(of, plain(of), "average", block_bytes).tolist() == v2t
    assert any(rank % 1 for rank in t2v)


@pytest.mark.parametrize(("ties", "rank"), [("average", 5.5), ("optimistic", 1.0), ("pessimistic", 10.0)])
def test_equal_scores_everywhere_give_the_middle(ties: str, rank: float) -> None:
    one = np.ones((10, 4), dtype=np.float32)
    of = corpus(one, one, np.arange(10), np.arange(10))
    assert text_to_video(of, plain(of), ties).tolist() == [rank] * 10
    assert video_to_text(of, plain(of), ties).tolist() == [rank] * 10


def test_every_query_counts_once_whatever_is_tied() -> None:
    """A copied program counts every tied position as a query: 1,008 results for 1,000 queries."""
    eye = np.eye(1000, dtype=np.float32)
    text_of = np.arange(1000)
    text_of[:5] = 0  # five captions are one sentence
    of = corpus(eye, eye, text_of, np.arange(1000))
    assert len(text_to_video(of, plain(of))) == len(video_to_text(of, plain(of))) == 1000
    metrics = retrieval_metrics(of, plain(of))
    assert metrics["t2v_r1"] == 996 / 1000  # the sentence finds the first video, and the four others lose
    # 'average' puts video 0 at rank 3 among five equal captions; to the four others all captions score 0
    assert metrics["v2t_r1"] == 995 / 1000
    assert retrieval_metrics(of, plain(of), "optimistic")["v2t_r1"] == 1


def test_metrics_of_ranks() -> None:
    metrics = rank_metrics(np.array([1, 1.5, 5, 11, 50, 51]), "t2v")
    assert metrics == {
        "t2v_r1": 1 / 6,
        "t2v_r5": 3 / 6,
        "t2v_r10": 3 / 6,
        "t2v_r50": 5 / 6,
        "t2v_median_rank": 8.0,
        "t2v_mean_rank": pytest.approx(119.5 / 6),
    }


def test_wrong_input() -> None:
    one = np.ones((2, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="NaN or infinite"):
        corpus(one * np.nan, one, np.arange(2), np.arange(2))
    with pytest.raises(ValueError, match="every video needs a caption"):
        corpus(one, one, np.array([0, 1]), np.array([0, 0]))


def random_corpus(seed: int = 0):
    rng = np.random.default_rng(seed)
    unit = [rng.standard_normal((count, 8)).astype(np.float32) for count in (30, 20)]
    text, video = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in unit)
    video[3] = video[4]
    return text, video, rng.integers(0, 30, 45), np.sort(np.r_[np.arange(20), rng.integers(0, 20, 25)])


@pytest.mark.parametrize("block_bytes", [1, 3_000, 2**28])
def test_dual_softmax_is_the_product_of_both_softmaxes(block_bytes: int) -> None:
    text, video, text_of, video_of = random_corpus()
    of = corpus(text, video, text_of, video_of)
    logits = (text[text_of] @ video.T).astype(np.float64) / 0.07  # (N, V)
    product = log_softmax(logits, 0) + log_softmax(logits, 1)
    first = [text_of.tolist().index(row) for row in text_of]
    product = product[first]  # what is equal, wherever it was rounded
    product[:, 4] = product[:, 3]
    expected = brute_force(product, video_of, "average")
    scoring = checked_against(product, dual_softmax(of, 0.07, block_bytes), of, logits)
    assert text_to_video(of, scoring, "average", block_bytes).tolist() == expected[0]
    assert video_to_text(of, scoring, "average", block_bytes).tolist() == expected[1]
    assert expected[0] != brute_force(logits, video_of, "average")[0]


def checked_against(product: np.ndarray, scoring: Scoring, of: Corpus, logits: np.ndarray) -> Scoring:
    """Compares each row of scores with those of (N, V) and hands these on: ranks must not hang on a float32's rounding.

    What is the same for all answers to a query is not in the scores, and is taken off before they are compared.
    """
    caption_of = {row: i for i, row in enumerate(of.text_of)}
    video_of = {row: v for v, row in enumerate(of.videos.place)}
    videos = [video_of[row] for row in range(len(of.videos.features))]
    # A sentence without a caption stands for none: its column is compared with nothing and counts nothing.
    captions = [caption_of.get(row, 0) for row in range(len(of.texts.features))]
    asked = np.isin(np.arange(len(captions)), of.text_of)

    def text_rows(rows: np.ndarray) -> np.ndarray:
        mine = [caption_of[row] for row in rows]
        found = scoring.text_rows(rows) - logsumexp(logits[mine], axis=1)[:, None]
        np.testing.assert_allclose(found, product[np.ix_(mine, videos)], atol=1e-4)
        return product[np.ix_(mine, videos)]

    def video_rows(rows: np.ndarray) -> np.ndarray:
        mine = [video_of[row] for row in rows]
        found = scoring.video_rows(rows) - logsumexp(logits[:, mine], axis=0)[:, None]
        expected = product[np.ix_(captions, mine)].T
        np.testing.assert_allclose(found[:, asked], expected[:, asked], atol=1e-4)
        return expected

    return Scoring(text_rows, video_rows)


def test_query_bank_is_the_dynamic_inverted_softmax() -> None:
    """Written as in the paper: activation set, then exp(beta s) over the bank's sum for the queries that it holds."""
    text, video, text_of, video_of = random_corpus()
    bank_text, bank_video, *_ = random_corpus(7)
    of = corpus(text, video, text_of, video_of)
    scoring = query_bank(of, bank_text[:4], bank_video[:4], 20.0, 500)
    for rows_of, queries, items, bank in (
        (scoring.text_rows, of.texts.features, of.videos.features, bank_text[:4]),
        (scoring.video_rows, of.videos.features, of.texts.features, bank_video[:4]),
    ):
        found = rows_of(np.arange(len(queries)))
        activation = set((bank @ items.T).argmax(axis=1))
        plain_scores = np.exp(20 * (queries @ items.T).astype(np.float64))
        normalised = plain_scores / np.exp(20 * (bank @ items.T).astype(np.float64)).sum(axis=0)
        hubs = [row.argmax() in activation for row in plain_scores]
        expected = np.where(np.array(hubs)[:, None], normalised, plain_scores)
        assert any(hubs) and not all(hubs)
        np.testing.assert_allclose(np.exp(found), expected, rtol=1e-4)


BIG = """
import sys, time
import numpy as np
from featx.metrics.hubness import dual_softmax
from featx.metrics.retrieval import corpus, plain, text_to_video, video_to_text
def peak():  # not ru_maxrss: that begins with the peak of the process that started this one
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
count, block_bytes, width = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
rng = np.random.default_rng(0)
text = rng.standard_normal((count, width), dtype=np.float32)
text /= np.linalg.norm(text, axis=1, keepdims=True)
video = text + np.float32(0.02) * rng.standard_normal((count, width), dtype=np.float32)
video /= np.linalg.norm(video, axis=1, keepdims=True)
of = corpus(text, video, np.arange(count), np.arange(count))
before = peak()
began = time.perf_counter()
scoring = dual_softmax(of, 0.07, block_bytes) if "dual" in sys.argv else plain(of)
t2v = text_to_video(of, scoring, "average", block_bytes)
v2t = video_to_text(of, scoring, "average", block_bytes)
print(peak() - before, time.perf_counter() - began, (t2v == 1).mean(), (v2t == 1).mean())
"""


def run_big(count: int, block_bytes: int, width: int, *more: str) -> tuple[int, float]:
    words = [sys.executable, "-c", BIG, str(count), str(block_bytes), str(width), *more]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    extra, seconds, t2v, v2t = map(float, done.stdout.split())
    print(
        f"{count:,} x {count:,} {' '.join(more)}: {extra / 2**20:.0f} MiB beside the features, {seconds:.1f} s"
    )
    assert min(t2v, v2t) > 0.99
    return int(extra), seconds


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads the peak from /proc")
@pytest.mark.parametrize("more", [(), ("dual",)])
def test_memory_is_bounded(more: tuple[str, ...]) -> None:
    """All scores of 6,000 x 6,000 would be 137 MiB; they go through in blocks of 8 MiB."""
    extra, _ = run_big(6_000, 2**23, 32, *more)
    assert extra < 40 * 2**20


@pytest.mark.slow
def test_a_hundred_thousand_captions_and_videos_fit_in_bounded_memory() -> None:
    """All scores would be 37 GiB."""
    extra, _ = run_big(100_000, 2**28, 64)
    assert extra < 2**29
