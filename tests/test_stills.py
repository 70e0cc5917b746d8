"""Single pictures out of a video: the frame of that time, also where a file is awkward, and a reason where there is none."""

from pathlib import Path

import numpy as np
import pytest

from featx.stills import NoPicture, decode_still

av = pytest.importorskip("av")
GREY = np.array([0.299, 0.587, 0.114])


def frames_of(file: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        return [
            (float(frame.pts * stream.time_base), frame.to_ndarray(format="gray8"))
            for frame in container.decode(stream)
        ]


def check(file: Path, first_s: float = 0.0) -> None:
    frames = frames_of(file)
    for number in np.unique(np.linspace(0, len(frames) - 1, 5).astype(int)):
        time, expected = frames[number]
        height = expected.shape[0]
        picture = decode_still(file, time - frames[0][0] + first_s, height) @ GREY
        assert picture.shape == expected.shape
        differences = [np.abs(picture - other).mean() for _, other in frames]
        assert differences[number] < 2  # limited to full range, and back
        assert differences[number] <= min(differences) + 0.05


@pytest.mark.parametrize("name", ["growing/0.mp4", "falling/2.mp4"])
def test_it_is_the_frame_of_that_time(shape_videos: Path, name: str) -> None:
    check(shape_videos / name)


@pytest.mark.parametrize(
    (
        "name",
        "first_s",
    ),  # an AVI has no times of its own: ffmpeg counts its two B-frames, and so does the store
    [("vf1.mp4", 0.0), ("mm_skel.avi", 2 / 30), ("tc_h265_10bits.mp4", 0.0), ("tc_av1_video.mkv", 0.0)],
)
def test_it_is_the_frame_of_that_time_in_real_clips(real_videos: Path, name: str, first_s: float) -> None:
    check(real_videos / name, first_s)


def test_it_stands_upright_and_is_not_too_wide(real_videos: Path) -> None:
    assert decode_still(real_videos / "dc_video_90.mov", 0.0, 160).shape == (160, 90, 3)


def test_a_very_wide_frame_comes_out_lower(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 1600, 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 1600, 3), np.uint8), "rgb24")
        container.mux([*stream.encode(frame), *stream.encode()])
    assert decode_still(tmp_path / "wide.mp4", 0.0, 160).shape == (12, 640, 3)


def test_where_there_is_none_it_says_why(shape_videos: Path, tmp_path: Path) -> None:
    whole = shape_videos / "growing" / "0.mp4"
    with pytest.raises(NoPicture, match="no frame at that time"):
        decode_still(whole, 1000.0, 160)
    (tmp_path / "a.mp4").write_text("hello")
    with pytest.raises(NoPicture, match="Invalid data|moov atom"):
        decode_still(tmp_path / "a.mp4", 0.0, 160)
    with pytest.raises(NoPicture, match="No such file"):
        decode_still(tmp_path / "b.mp4", 0.0, 160)
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {whole}\n")
    with pytest.raises(NoPicture):  # a file that names another
        decode_still(tmp_path / "list.mp4", 0.0, 160)
