"""Clips: those that the released code draws, as often; evaluation's never change and are such clips, spread out."""

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featx.features.clips import ClipSampling, clip_rows, draw_clips, even_clips, starts_count

ROWS = st.integers(1, 400)
STRIDES = st.lists(st.integers(1, 8), min_size=1, max_size=4, unique=True)
PAPER = ClipSampling(16, [1, 2, 3, 4], [1, 1, 3, 1], clips=5)
Clips = dict[tuple[int, ...], Fraction]


def released(rows: int, last_window: bool) -> Clips:
    """Every clip of 16 rows that the authors' program can draw, and how likely: their `_select_indices`, enumerated.

    Args:
        rows: Of the video.
        last_window: Whether it may draw the last window too. It cannot, and takes all rows where there is no other.
    """
    if rows <= 16:
        return {tuple([*range(rows), *[rows - 1] * (16 - rows)]): Fraction(1)}
    drawn: Clips = defaultdict(Fraction)
    rates = [1, 1 / 2, 1 / 3, 1 / 3, 1 / 3, 1 / 4]
    for rate in rates:
        phases = round(1 / rate)
        for phase in range(phases):
            entries = np.linspace(phase, rows - 1, num=round(rate * rows), endpoint=True, dtype=int)
            if len(entries) < 16 + (not last_window):
                entries = np.linspace(0, rows - 1, num=rows, endpoint=True, dtype=int)
            starts = len(entries) - 16 + last_window
            for start in range(starts):
                clip = tuple(int(entry) for entry in entries[start : start + 16])
                drawn[clip] += Fraction(1, len(rates) * phases * starts)
    assert sum(drawn.values()) == 1
    return drawn


@pytest.mark.parametrize("rows", [1, 9, 16, 17, 31, 32, 33, 40, 47, 48, 64, 93, 150])
def test_training_clips_are_those_of_the_released_code_as_often(rows: int) -> None:
    expected, count = released(rows, last_window=True), 30_000
    clips = draw_clips(np.random.default_rng(rows), np.full(count, rows), PAPER)
    found, counts = np.unique(clips, axis=0, return_counts=True)
    drawn = {tuple(int(row) for row in clip): int(n) for clip, n in zip(found, counts, strict=True)}
    assert drawn.keys() == expected.keys()
    chi_square = sum((drawn[clip] - count * p) ** 2 / (count * p) for clip, p in expected.items())
    freedom = len(expected) - 1
    assert float(chi_square) <= freedom + 4 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("rows", [17, 33, 48, 93])
def test_only_last_windows_are_drawn_that_the_released_code_cannot_draw(rows: int) -> None:
    here, theirs = released(rows, last_window=True), released(rows, last_window=False)
    assert theirs.keys() <= here.keys()
    assert all(clip[-1] == rows - 1 for clip in here.keys() - theirs.keys())


def test_the_strided_sequence_is_numpys_but_for_its_rounding() -> None:
    """``linspace`` computes in floating point, and falls one row short where a product comes out below a whole number."""
    short = 0
    for rows in range(17, 400):
        for stride in (1, 2, 3, 4):
            for phase in range(stride):
                theirs = np.linspace(phase, rows - 1, num=round(1 / stride * rows), endpoint=True, dtype=int)
                if len(theirs) < 16:
                    theirs = np.arange(rows)
                starts = np.arange(starts_count(rows, stride, 16))
                ours = clip_rows(np.full(len(starts), rows), starts, stride, phase, 16)
                entries = np.concatenate([ours[:, 0], ours[-1, 1:]])
                assert len(entries) == len(theirs) and set(entries - theirs) <= {0, 1}
                short += int((entries != theirs).sum())
    assert short <= 10  # of 318,657


@given(st.lists(ROWS, min_size=1, max_size=8), STRIDES, st.integers(1, 32), st.integers(0, 2**32 - 1))
def test_drawn_clips_lie_within_their_videos(
    rows: list[int], strides: list[int], frames: int, seed: int
) -> None:
    sampling = ClipSampling(frames, strides, [1.0] * len(strides))
    drawn = [draw_clips(np.random.default_rng(seed), np.array(rows), sampling) for _ in range(2)]
    np.testing.assert_array_equal(*drawn)
    assert drawn[0].shape == (len(rows), frames)
    assert (drawn[0] >= 0).all() and (drawn[0] < np.array(rows)[:, None]).all()
    assert (np.diff(drawn[0]) >= 0).all()  # the store reads from the first to the last


@given(ROWS, st.integers(1, 32), st.integers(1, 9), STRIDES)
def test_even_clips_reach_from_the_first_phase_to_the_last_row(
    rows: int, frames: int, clips: int, strides: list[int]
) -> None:
    sampling = ClipSampling(frames, strides, [1.0] * len(strides), clips)
    placed = even_clips(rows, sampling)
    assert placed.shape == (clips, frames)
    assert (placed >= 0).all() and (placed < rows).all() and (np.diff(placed) >= 0).all()
    if clips > 1 and frames > 1:
        assert placed[0, 0] < max(strides) and placed[-1, -1] == rows - 1
    several = even_clips(np.array([rows, rows + 7]), sampling)
    np.testing.assert_array_equal(several[0], placed)


@pytest.mark.parametrize("rows", [1, 16, 20, 31, 40, 60, 93, 120, 200, 300])
def test_even_clips_are_clips_of_the_training_and_see_more_than_drawn_ones(rows: int) -> None:
    possible, placed = released(rows, last_window=True), even_clips(rows, PAPER)
    assert all(tuple(clip) in possible for clip in placed.tolist())
    shown = [sum(p for clip, p in possible.items() if row in clip) for row in range(rows)]
    expected = sum(1 - (1 - p) ** 5 for p in shown)  # rows that five drawn clips show
    assert len(np.unique(placed)) >= float(expected) - 1e-9


def test_even_clips_by_hand() -> None:
    """Of strides 1, 2, 3, 3, 3, 4 five clips take those a tenth, three tenths, … of the way: 1, 2, 3, 3, 4."""
    placed = even_clips(93, PAPER)
    assert placed[:, 0].tolist() == [0, 12, 18, 45, 47]
    assert (placed[:, -1] - placed[:, 0]).tolist() == [15, 46, 61, 30, 45]  # strides 1, 3, 4, 2, 3
    six = even_clips(1000, replace(PAPER, clips=6))
    strides = np.rint((six[:, -1] - six[:, 0]) / 15).astype(int)
    assert sorted(strides.tolist()) == [1, 2, 3, 3, 3, 4]  # as often as in training
    assert len({*(six[strides == 3, 0] % 3)}) == 3
    assert even_clips(30, replace(PAPER, clips=3))[:, :2].tolist() == [
        [0, 1],
        [7, 8],
        [14, 15],
    ]  # nothing else fits


@pytest.mark.parametrize(
    "strides, weights, problem",
    [
        ([1], [1, 1, 3, 1], "same length, not 1 and 4"),
        ([], [], "strides must be 1 or more"),
        ([0, 1], [1, 1], "strides must be 1 or more"),
        ([1, 2], [0, 0], "not all 0"),
        ([1, 2], [2, -1], "from 0 on"),
        ([1, 2], [1, float("nan")], "must be numbers"),
    ],
)
def test_strides_and_weights_that_say_no_clip_are_refused(
    strides: list[int], weights: list[float], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        ClipSampling(16, strides, weights)
