"""Long videos go through in windows, with the proposals of a single pass; memory does not grow with length."""

import numpy as np
import pytest
from test_detector import make

from featx.localisation.proposals_file import Proposals
from featx.localisation.propose import propose_rows, propose_video, windows
from featx.localisation.selection import SelectionSettings

SETTINGS = SelectionSettings(
    keep=5000, before_suppression=10**6, min_score=0.0001, suppression="hard", overlap=1.0
)


def video(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pts = np.cumsum(rng.choice([0.02, 0.05, 0.2], rows))
    return rng.standard_normal(
        (rows, 8)
    ), pts  # double: equal but for rounding is 1e-9 then, and no order is chance


def assert_same(one: Proposals, other: Proposals) -> None:
    assert len(one) == len(other)
    for name in ("start_s", "end_s", "score"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("changes", [{}, {"levels": 5, "window": 3}, {"normalise": "length", "stem": 0}])
def test_windows_say_what_one_pass_says(changes: dict) -> None:
    detector = make(**changes).double()
    features, pts = video(2500)
    whole = propose_rows(detector, lambda a, n: features[a : a + n], pts, SETTINGS, steps_at_once=10**6)
    assert len(whole) > 1000
    for at_once in (16, 300, 999):
        streamed = propose_rows(
            detector, lambda a, n: features[a : a + n], pts, SETTINGS, steps_at_once=at_once
        )
        assert_same(streamed, whole)


def test_every_point_is_believed_once() -> None:
    for steps in (1, 64, 65, 500):
        parts = list(windows(steps, 64, 16))
        assert [part.begin for part in parts[1:]] == [part.end for part in parts[:-1]]
        assert parts[0].begin == 0 and parts[-1].end == steps
        for part in parts:
            past = part.first + part.steps
            assert part.first in (0, part.begin - 16) and past in (steps, part.end + 16)


def test_only_a_window_of_rows_is_read_at_a_time() -> None:
    detector = make().double()
    features, pts = video(15_000)
    asked = []

    def read(first: int, rows: int) -> np.ndarray:
        asked.append(rows)
        return features[first : first + rows]

    propose_rows(detector, read, pts, SelectionSettings(), steps_at_once=256)
    seconds = (256 + 2 * detector.margin) * detector.config.grid_step_s
    assert len(asked) > 40 and max(asked) <= seconds / 0.02 + 2
    few = propose_rows(detector, read, pts, SelectionSettings(before_suppression=10), steps_at_once=256)
    assert len(few) <= 10


def test_a_rescaled_grid_is_one_window_whatever_the_length() -> None:
    detector = make(grid_step_s=None, grid_steps=48, full_last=True).double()
    for rows in (1, 10, 3000):
        features, pts = video(rows)
        found = propose_video(detector, features, pts, SETTINGS)
        assert 0 < len(found) <= 48 + 24 + 12
        assert (found.start_s >= 0).all() and (found.end_s > found.start_s).all()


def test_proposals_move_with_the_video() -> None:
    """The same pictures a whole number of coarsest steps later are found as much later."""
    detector = make().double()
    features, _ = video(600)
    still = np.repeat(features[:1], 64, axis=0)
    later = np.concatenate([still, still, features])
    before = np.concatenate([still, features])
    here = propose_video(detector, before, np.arange(len(before)) * 0.1, SETTINGS)
    there = propose_video(detector, later, np.arange(len(later)) * 0.1, SETTINGS)
    inner = (here.start_s > 20) & (here.end_s < 55)
    moved = {(round(s, 2), round(e, 2)) for s, e in zip(there.start_s, there.end_s, strict=True)}
    wanted = {
        (round(s + 6.4, 2), round(e + 6.4, 2))
        for s, e in zip(here.start_s[inner], here.end_s[inner], strict=True)
    }
    assert len(wanted) > 50 and len(wanted & moved) > 0.95 * len(wanted)
