"""Decoding real clips: every frame, upright, with its time; damage is an error after the good frames."""

from pathlib import Path

import av
import numpy as np
import pytest

from featx.extract.decoding.decode import Decoding
from featx.extract.decoding.ffmpeg_args import DecodeOptions
from featx.extract.decoding.video_errors import DecodeError

FRAMES = {
    "cve1.mp4": 56,
    "vf1.mp4": 355,
    "mm_demo.mp4": 280,
    "mm_skel.avi": 103,
    "tc_h265_10bits.mp4": 30,
    "tc_av1_video.mkv": 125,
    "dc_video_90.mov": 3,
}


@pytest.mark.parametrize("name", FRAMES)
def test_every_frame_at_pyavs_time(real_videos: Path, name: str) -> None:
    with av.open(str(real_videos / name)) as container:
        expected = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    decoding = Decoding(real_videos / name, DecodeOptions())
    assert sum(1 for _ in decoding) == FRAMES[name]
    pts = decoding.times.seconds
    if name.endswith(".avi"):  # AVI has no presentation times: PyAV gives decoding times, out of order
        np.testing.assert_allclose(np.diff(pts), 1 / 30, atol=1e-6)
    else:
        np.testing.assert_allclose(pts, expected, atol=2e-3)


def test_a_rotated_video_comes_out_upright(real_videos: Path) -> None:
    decoding = Decoding(real_videos / "dc_video_90.mov", DecodeOptions())
    assert {picture.shape for picture in decoding} == {(568, 320, 3)}
    assert decoding.log.first_size == (320, 568)


def test_damage_is_an_error_after_the_good_frames(real_videos: Path) -> None:
    good = 0
    with pytest.raises(DecodeError, match="Invalid NAL unit size|missing picture") as caught:
        for _ in Decoding(real_videos / "dc_corrupted.mp4", DecodeOptions()):
            good += 1
    assert good == 28
    assert caught.value.stage == "decode"


def test_what_is_no_video_fails_to_open(tmp_path: Path) -> None:
    for name, content in {
        "empty.mp4": b"",
        "text.mp4": b"hello\n",
        "list.mp4": b"ffconcat version 1.0\n",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DecodeError) as caught:
            list(Decoding(tmp_path / name, DecodeOptions()))
        assert caught.value.stage == "open"
