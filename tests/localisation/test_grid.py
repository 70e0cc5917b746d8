"""The grid of steps: the same times come back at any frame rate, and a step is the mean of what is shown during it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.localisation.grid import Grid, make_grid, read_steps


def variable_pts(seed: int, rows: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 2) + np.concatenate(
        [[0.0], np.cumsum(rng.choice([0.02, 0.04, 0.1, 0.3], rows - 1))]
    )


def steps_of(rows: np.ndarray, pts: np.ndarray, grid: Grid, first: int, count: int) -> np.ndarray:
    return read_steps(lambda row, number: rows[row : row + number], pts, grid, first, count)


def grids(pts: np.ndarray) -> list[Grid]:
    return [make_grid(pts, 0.13, None), make_grid(pts, 0.01, None), make_grid(pts, None, 24)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 80))
def test_a_step_is_the_mean_of_what_is_shown_during_it(seed: int, count: int) -> None:
    pts = variable_pts(seed, count)
    rows = np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32)
    for grid in grids(pts):
        found = steps_of(rows, pts, grid, 0, grid.steps)
        shown_until = np.append(pts[1:], grid.end_s)
        for step in range(grid.steps):
            begin = grid.start_s + step * grid.step_s
            end = min(begin + grid.step_s, grid.end_s)
            seconds = np.maximum(np.minimum(shown_until, end) - np.maximum(pts, begin), 0)
            np.testing.assert_allclose(found[step], seconds @ rows / seconds.sum(), rtol=1e-4, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 80), st.integers(0, 10**6))
def test_steps_read_in_windows_are_the_same_bits(seed: int, count: int, where: int) -> None:
    pts = variable_pts(seed, count)
    rows = np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float16)
    for grid in grids(pts):
        first = where % grid.steps
        number = 1 + where % (grid.steps - first)
        whole = steps_of(rows, pts, grid, 0, grid.steps)
        np.testing.assert_array_equal(steps_of(rows, pts, grid, first, number), whole[first : first + number])


@pytest.mark.parametrize("seed", range(5))
def test_times_come_back_right_for_variable_frame_rates(seed: int) -> None:
    """An event is seen in the rows alone; its times are read off the grid to within a step."""
    pts = variable_pts(seed, 900)
    begin, end = pts[[300, 620]]
    rows = ((pts >= begin) & (pts < end)).astype(np.float32)[:, None]
    for grid in [make_grid(pts, 0.05, None), make_grid(pts, None, 2000)]:
        found = steps_of(rows, pts, grid, 0, grid.steps)[:, 0]
        inside = np.flatnonzero(found > 0.5)
        times = grid.seconds_of(np.array([inside[0] - 0.5, inside[-1] + 0.5]))  # the steps' outer edges
        np.testing.assert_allclose(times, [begin, end], atol=0.51 * grid.step_s)
        np.testing.assert_allclose(found.sum() * grid.step_s, end - begin, atol=1e-3)


def test_points_and_seconds_are_inverse_and_the_whole_video_is_covered() -> None:
    pts = variable_pts(7, 50)
    for grid in grids(pts):
        times = np.linspace(0, 9, 20)
        np.testing.assert_allclose(grid.seconds_of(grid.points_of(times)), times)
        assert grid.start_s == pts[0] and grid.end_s > pts[-1]
        assert grid.start_s + grid.steps * grid.step_s >= grid.end_s - 1e-6
        assert grid.start_s + (grid.steps - 1) * grid.step_s < grid.end_s


def test_steps_as_long_as_the_frames_are_the_rows() -> None:
    pts = np.arange(100) / 25
    rows = np.random.default_rng(0).standard_normal((100, 4)).astype(np.float16)
    grid = make_grid(pts, 0.04, None)
    assert grid.steps == 100
    np.testing.assert_array_equal(steps_of(rows, pts, grid, 0, 100), rows)
