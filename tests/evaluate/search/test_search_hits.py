"""What a search finds: windows and cosines against plain loops, and hits that never overlap."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import FORMATS, make_store

from featx.errors import FeatxError
from featx.evaluate.search.exact import scan as scan_module
from featx.evaluate.search.exact.candidates import Candidates, frames, moments, whole_videos
from featx.evaluate.search.exact.hits import Rules, best_spans, merge
from featx.evaluate.search.exact.scan import StretchScan
from featx.evaluate.search.exact.search import open_scans, search_exactly
from featx.evaluate.search.exact.settings import SearchSettings
from featx.features.windows import end_of
from featx.store.reader import FeatureStore
from featx.store.schema import VideoFeatures

gaps = st.lists(st.floats(0.01, 3.0), min_size=1, max_size=25)


def timeline(videos: list[list[float]], starts: float) -> tuple[np.ndarray, np.ndarray]:
    pts = [starts + np.cumsum([0.0, *video]) for video in videos]
    return np.concatenate(pts), np.cumsum([0, *map(len, pts)])


def plain_windows(pts: np.ndarray, window_s: float) -> list[tuple[float, float, int, int]]:
    """Start, end, first row, rows of the windows of one video, one by one as docs/search.md says."""
    begin, end, found, number = pts[0], end_of(pts), [], 0
    while True:
        start = min(begin + number * window_s / 4, max(end - window_s, begin))
        stop = min(start + window_s, end)
        last = start + window_s >= end - 1e-9
        rows = [
            row for row, time in enumerate(pts) if start - 1e-9 <= time < (np.inf if last else stop - 1e-9)
        ]
        if not rows:  # what is on screen meanwhile
            rows = [max(row for row, time in enumerate(pts) if time < start)]
        found.append((start, stop, rows[0], len(rows)))
        if last:
            return found
        number += 1


@settings(deadline=None)
@given(st.lists(gaps, min_size=1, max_size=4), st.floats(0, 100), st.sampled_from([0.5, 2.0, 7.5]))
def test_windows_are_those_of_a_plain_loop(videos: list[list[float]], start: float, window_s: float) -> None:
    pts, offsets = timeline(videos, start)
    candidates = moments(pts, offsets, [window_s])
    plain = [
        (number, *window[:2], window[2] + begin, window[3])
        for number, (begin, past) in enumerate(itertools.pairwise(offsets))
        for window in plain_windows(pts[begin:past], window_s)
    ]
    videos_of, starts, ends, firsts, rows = zip(*plain, strict=True)
    np.testing.assert_array_equal(candidates.video, videos_of)
    np.testing.assert_array_equal(candidates.first_row, firsts)
    np.testing.assert_array_equal(candidates.rows, rows)
    np.testing.assert_allclose(candidates.start_s, starts, atol=1e-9)
    np.testing.assert_allclose(candidates.end_s, ends, atol=1e-9)


def test_a_short_video_is_one_moment_whatever_the_lengths() -> None:
    pts = np.concatenate([np.arange(50) / 25, np.arange(250) / 25])
    candidates = moments(pts, np.array([0, 50, 300]), [4.0, 8.0, 16.0])
    assert (candidates.video == 0).sum() == 1
    assert {
        round(length, 6) for length in (candidates.end_s - candidates.start_s)[candidates.video == 1]
    } == {4, 8, 10}


def test_frames_and_videos_cover_everything_once() -> None:
    pts, offsets = timeline([[0.5, 1.0], [2.0]], 3.0)
    every = frames(pts, offsets)
    assert every.first_row.tolist() == [0, 1, 2, 3, 4] and every.video.tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_allclose(every.end_s, [3.5, 4.5, 5.25, 5.0, 7.0])
    videos = whole_videos(pts, offsets)
    assert videos.rows.tolist() == [3, 2]
    np.testing.assert_allclose(videos.end_s, [5.25, 7.0])


@pytest.fixture(params=[1, 3])
def some_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    assert torch.get_num_threads() == request.param  # a search leaves it as it was
    torch.set_num_threads(before)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("level", ["frames", "moments", "videos"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_cosines_are_those_of_plain_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, level: str, dtype: str, some_threads: int
) -> None:
    monkeypatch.setattr(scan_module, "PARTS_A_BLOCK", 2)
    rng = np.random.default_rng(0)
    videos = {}
    for number, rows in enumerate([300, 7, 1, 600, 256]):
        features = (rng.standard_normal((rows, 8)) * rng.uniform(0.1, 9, (rows, 1))).astype(dtype)
        pts = np.cumsum(rng.uniform(0.02, 0.06, rows))
        videos[f"{number}.mp4"] = VideoFeatures(features, pts, np.arange(rows, dtype=np.int32))
    store = FeatureStore(make_store(tmp_path / "s", videos, format, shard_bytes=4000, dtype=dtype))
    wanted = SearchSettings(level=level)
    queries = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    for scan in open_scans(store, wanted):
        candidates = scan.candidates
        rows = np.concatenate([videos[name].features for name in scan.stretch.ids]).astype(np.float64)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        means = np.stack(
            [rows[a : a + n].mean(axis=0) for a, n in zip(candidates.first_row, candidates.rows, strict=True)]
        )
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        for _ in range(2):  # the second time lengths are known
            np.testing.assert_allclose(scan.scores(queries), queries.numpy() @ means.T, atol=2e-6)
            np.testing.assert_allclose(scan.scores(queries[:1]), queries[:1].numpy() @ means.T, atol=2e-6)
        vectors = [(block.vectors * block.scale[:, None]).clone() for block in scan.vectors()]
        np.testing.assert_allclose(torch.cat(vectors), means, atol=2e-6)
        monkeypatch.setattr(scan_module, "COSINES_BYTES", 1)
        np.testing.assert_allclose(scan.scores(queries), queries.numpy() @ means.T, atol=2e-6)


def random_candidates(rng: np.random.Generator, count: int) -> Candidates:
    first = rng.integers(0, 60, count)
    rows = rng.integers(1, 12, count)
    return Candidates(rng.integers(0, 3, count), first, rows, first / 2, (first + rows) / 2)


def plain_merge(
    candidates: Candidates, scores: np.ndarray, widen: float | None
) -> list[tuple[int, int, int, float]]:
    """The same with sets of rows."""
    hits: list[dict] = []
    for number in sorted(range(len(scores)), key=lambda number: (-scores[number], number)):
        first, count, video = candidates.first_row[number], candidates.rows[number], candidates.video[number]
        rows = set(range(first, first + count))
        touched = [hit for hit in hits if hit["video"] == video and hit["rows"] & rows]
        if not touched:
            hits.append({"video": video, "rows": rows, "score": scores[number]})
        elif widen is not None and scores[number] >= touched[0]["score"] - widen:
            for hit in touched[1:]:
                hits = [one for one in hits if one is not hit]
            touched[0]["rows"] = rows.union(*(hit["rows"] for hit in touched))
    return [(hit["video"], min(hit["rows"]), max(hit["rows"]) + 1, hit["score"]) for hit in hits]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([None, 0.0, 0.02, 0.3, 3.0]), st.integers(1, 12), st.booleans())
def test_finds_are_those_of_a_plain_merge(seed: int, widen: float | None, count: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    candidates = random_candidates(rng, 150)
    scores = rng.standard_normal(150).astype(np.float32)
    if ties:
        scores = scores.round()
    rules = Rules(widen)

    def said(spans: list) -> list[tuple]:
        return [(span.video, span.first_row, span.past_row, span.score) for span in spans]

    spans = merge(candidates, scores, np.arange(150), rules)
    assert said(spans) == plain_merge(candidates, scores.astype(float), widen)
    for span in spans:
        assert (span.start_s, span.end_s) == (span.first_row / 2, span.past_row / 2)
    for one, other in itertools.combinations(spans, 2):
        assert one.video != other.video or one.past_row <= other.first_row or other.past_row <= one.first_row
    assert said(best_spans(candidates, scores, count, rules)) == said(spans[:count])


def test_a_few_units_are_looked_at_first_and_more_where_they_are_not_enough(monkeypatch) -> None:
    from featx.evaluate.search.exact import hits

    monkeypatch.setattr(hits, "FIRST_LOOK", 1)
    rng = np.random.default_rng(1)
    for widen in (None, 0.1):
        candidates, scores = random_candidates(rng, 150), rng.standard_normal(150)
        every = merge(candidates, scores, np.arange(150), Rules(widen))
        some = best_spans(candidates, scores, 5, Rules(widen))
        assert [vars(span) for span in some] == [vars(span) for span in every[:5]]


def test_frames_of_a_video_are_apart() -> None:
    pts = np.arange(100) / 25
    candidates = frames(pts, np.array([0, 100]))
    scores = -np.abs(np.arange(100) - 50) / 100
    spans = best_spans(candidates, scores, 3, Rules(apart_s=1.0))
    assert [span.first_row for span in spans] == [50, 25, 75]
    unknown = frames(np.full(100, np.nan), np.array([0, 100]))
    assert [span.first_row for span in best_spans(unknown, scores, 3, Rules(apart_s=1.0))] == [50, 49, 51]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, dict]:
    from bench_search import make_store

    folder = tmp_path_factory.mktemp("planted") / "store"
    planted = make_store(folder, 60_000)
    return FeatureStore(folder), planted


@pytest.mark.parametrize("level", ["frames", "moments", "videos"])
def test_every_planted_answer_is_found(planted: tuple[FeatureStore, dict], level: str) -> None:
    from bench_search import overlap

    store, answers = planted
    wanted = SearchSettings(level=level)
    queries = torch.from_numpy(np.stack([one[4] for one in answers[level]])).float()
    found = search_exactly(open_scans(store, wanted), queries, 10, wanted)
    overlaps = [overlap(hits[0], *one[:3]) for hits, one in zip(found, answers[level], strict=True)]
    assert min(overlaps) >= 0.5 if level == "moments" else min(overlaps) == 1.0
    for hits in found:
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert len(hits) == 10


def test_one_video_is_searched_as_if_it_were_alone(planted: tuple[FeatureStore, dict]) -> None:
    store, answers = planted
    video, first, rows, _, query = answers["moments"][0]
    wanted = SearchSettings(video=[f"{video:06d}"])
    (scan,) = open_scans(store, wanted)
    assert isinstance(scan, StretchScan) and scan.stretch.ids == wanted.video
    (hits,) = search_exactly([scan], torch.from_numpy(query).float()[None], 5, wanted)
    assert {hit.video for hit in hits} == set(wanted.video)
    assert hits[0].first_row <= first + rows // 2 < hits[0].first_row + hits[0].rows
    (everywhere,) = search_exactly(
        open_scans(store, SearchSettings()), torch.from_numpy(query).float()[None], 1, SearchSettings()
    )
    assert everywhere[0].first_row == hits[0].first_row
    assert everywhere[0].score == pytest.approx(hits[0].score, abs=1e-6)


def test_without_times_there_are_no_moments(tmp_path: Path) -> None:
    rows = VideoFeatures(np.ones((3, 8), np.float16), np.full(3, np.nan), np.full(3, -1, np.int32))
    known = VideoFeatures(np.ones((3, 8), np.float16), np.arange(3.0), np.arange(3, dtype=np.int32))
    store = FeatureStore(make_store(tmp_path / "s", {"a": known, "b": rows}))
    with pytest.raises(FeatxError, match="rows of 'b' are shown.*--level videos or frames"):
        list(open_scans(store, SearchSettings()))
    for level in ("frames", "videos"):
        wanted = SearchSettings(level=level)
        (hits,) = search_exactly(open_scans(store, wanted), torch.eye(8)[:1], 10, wanted)
        assert {hit.video for hit in hits} == {"a", "b"}
