"""Times that never step back, stated independently; which stream is the video, in worked examples."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featx.extract.decoding.streams import VideoStream, best_stream
from featx.extract.decoding.times import GLITCH_FRAMES, going_on

STEPS = st.lists(st.integers(0, 50), min_size=1, max_size=30)


@given(STEPS)
def test_times_that_go_on_stay_as_they_are(steps: list[int]) -> None:
    pts = np.cumsum(steps)
    times, jumps = going_on(pts, np.ones_like(pts))
    assert times.tolist() == pts.tolist() and jumps == 0


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=40))
def test_times_never_step_back(pts: list[int]) -> None:
    times, jumps = going_on(np.array(pts), np.ones(len(pts), np.int64))
    assert (np.diff(times) >= 0).all() and len(times) == len(pts)
    assert times[0] == pts[0]
    assert (jumps == 0) == (sorted(pts) == pts)


@given(
    st.lists(st.lists(st.integers(1, 50), min_size=GLITCH_FRAMES + 1, max_size=20), min_size=2, max_size=5)
)
def test_joined_recordings_follow_each_other(parts: list[list[int]]) -> None:
    """Each part begins at 0 again and is shorter than all in front of it: it follows the last frame's end."""
    parts = sorted(parts, key=sum, reverse=True)
    pts, durations, expected, end = [], [], [], 0
    for steps in parts:
        own = [0, *np.cumsum(steps).tolist()]
        if pts and own[GLITCH_FRAMES] + expected[-1] - pts[-1] >= expected[-1]:
            return  # that looks like a slip, see below
        pts += own
        durations += [7] * len(own)
        expected += [end + time for time in own]
        end = expected[-1] + 7
    times, jumps = going_on(np.array(pts), np.array(durations))
    assert times.tolist() == expected and jumps == len(parts) - 1


def test_a_slip_moves_nothing_else() -> None:
    pts = np.array([0, 40, 80, 60, 160, 200, 120, 130, 280])
    times, jumps = going_on(pts, np.full(9, 40))
    assert times.tolist() == [0, 40, 80, 80, 160, 200, 200, 200, 280] and jumps == 2


def test_which_stream_is_the_video() -> None:
    still = VideoStream(0, 640 * 480, 1, 1.0)
    moving = VideoStream(1, 320 * 240, 40, 2.0)
    larger = VideoStream(2, 640 * 360, 40, 1.95)
    preview = VideoStream(3, 1920 * 1080, 25, 1.0)
    assert best_stream([still]) == 0
    assert best_stream([still, moving]) == 1
    assert best_stream([moving, larger, preview]) == 2
    assert best_stream([larger, VideoStream(4, 640 * 360, 40, 2.0)]) == 2
