"""Clips: every index is a row of the video, strides are kept, and evaluation's clips never change."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featx.clips import clip_rows, draw_clips, even_clips, starts_count

ROWS = st.integers(1, 400)
STRIDES = st.lists(st.integers(1, 8), min_size=1, max_size=4, unique=True)


@given(ROWS, st.integers(1, 8), st.integers(1, 32), st.data())
def test_a_clip_is_consecutive_entries_and_then_the_last_one(
    rows: int, stride: int, frames: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, starts_count(rows, stride, frames) - 1))
    entries = list(range(0, rows, stride))
    expected = entries[start : start + frames]
    expected += [entries[-1]] * (frames - len(expected))
    assert clip_rows(rows, start, stride, frames).tolist() == expected


@given(ROWS, st.integers(1, 8), st.integers(1, 32))
def test_the_last_window_is_allowed_and_is_the_last(rows: int, stride: int, frames: int) -> None:
    last = clip_rows(rows, starts_count(rows, stride, frames) - 1, stride, frames)
    assert last[-1] == (rows - 1) // stride * stride


@given(st.lists(ROWS, min_size=1, max_size=8), STRIDES, st.integers(1, 32), st.integers(0, 2**32 - 1))
def test_drawn_clips_lie_within_their_videos(
    rows: list[int], strides: list[int], frames: int, seed: int
) -> None:
    weights = [1.0] * len(strides)
    drawn = [
        draw_clips(np.random.default_rng(seed), np.array(rows), frames, strides, weights) for _ in range(2)
    ]
    np.testing.assert_array_equal(*drawn)
    assert drawn[0].shape == (len(rows), frames)
    assert (drawn[0] >= 0).all() and (drawn[0] < np.array(rows)[:, None]).all()


def test_strides_and_starts_follow_their_weights() -> None:
    rng = np.random.default_rng(0)
    clips = draw_clips(rng, np.full(20_000, 40), 4, [1, 2, 3, 4], [1, 1, 3, 1])
    stride = clips[:, 1] - clips[:, 0]
    np.testing.assert_allclose(np.bincount(stride)[1:] / 20_000, [1 / 6, 1 / 6, 1 / 2, 1 / 6], atol=0.015)
    starts = np.bincount(clips[stride == 1, 0])
    assert len(starts) == 37  # 40 rows, 4 in a clip: the last window begins at row 36
    np.testing.assert_allclose(starts / starts.sum(), 1 / 37, atol=0.012)


@given(ROWS, st.integers(1, 32), st.integers(2, 9), st.integers(1, 8))
def test_even_clips_reach_from_the_first_to_the_last_window(
    rows: int, frames: int, clips: int, stride: int
) -> None:
    placed = even_clips(rows, frames, clips, [stride], [1.0])
    assert placed.shape == (clips, frames)
    assert placed[0, 0] == 0 and placed[-1, -1] == (rows - 1) // stride * stride
    steps = np.diff(placed[:, 0] // stride)
    assert (steps >= 0).all() and np.ptp(steps) <= 1


def test_even_clips_take_the_usual_stride_or_the_largest_smaller_one_that_fits() -> None:
    for rows, stride in [(48, 3), (46, 3), (45, 2), (31, 2), (30, 1), (5, 1)]:
        placed = even_clips(rows, 16, 3, [1, 2, 3, 4], [1, 1, 3, 1])
        assert placed[0, 1] - placed[0, 0] == stride, rows
