"""Single pictures out of a video: the frame of that time, also where a file is awkward, and a reason where there is none."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from featx.video.ffmpeg import ffmpeg_path
from featx.video.stills import NoPicture, decode_still

av = pytest.importorskip("av")
GREY = np.array([0.299, 0.587, 0.114])


def frames_of(file: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        return [
            (float(frame.pts * stream.time_base), frame.to_ndarray(format="gray8"))
            for frame in container.decode(stream)
        ]


def start_of(file: Path) -> float:
    """Returns the file's start, as ffmpeg counts it over all streams."""
    with av.open(str(file)) as container:
        return container.start_time / 1_000_000


def check(file: Path, later_s: float = 0.0) -> None:
    """Asks for frames by their times in the file, and by those since its start; ffmpeg says times so much later than PyAV."""
    frames = frames_of(file)
    for number in np.unique(np.linspace(0, len(frames) - 1, 5).astype(int)):
        time, expected = frames[number][0] + later_s, frames[number][1]
        pixels = decode_still(file, time, expected.shape[0], file_times=True)
        since_start = decode_still(file, time - start_of(file), expected.shape[0], file_times=False)
        np.testing.assert_array_equal(pixels, since_start)
        picture = pixels @ GREY
        assert picture.shape == expected.shape
        differences = [np.abs(picture - other).mean() for _, other in frames]
        assert differences[number] < 2  # limited to full range, and back
        assert differences[number] <= min(differences) + 0.05


@pytest.mark.parametrize("name", ["growing/0.mp4", "falling/2.mp4"])
def test_it_is_the_frame_of_that_time(shape_videos: Path, name: str) -> None:
    check(shape_videos / name)


@pytest.mark.parametrize(
    ("name", "later_s"),
    # an AVI has no times of its own: ffmpeg counts its two B-frames, and so does the store; PyAV counts one
    [("vf1.mp4", 0.0), ("mm_skel.avi", 1 / 30), ("tc_h265_10bits.mp4", 0.0), ("tc_av1_video.mkv", 0.0)],
)
def test_it_is_the_frame_of_that_time_in_real_clips(real_videos: Path, name: str, later_s: float) -> None:
    check(real_videos / name, later_s)


SOUND = ["-f", "lavfi", "-i", "sine=duration=12"]
H264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p"]


@pytest.mark.parametrize(
    ("name", "before", "after", "file_start_s", "video_start_s"),
    [
        ("late.mkv", ["-itsoffset", "10"], [*H264, "-copyts"], 10, 10),
        ("late.mp4", ["-itsoffset", "10"], [*H264, "-copyts"], 10, 10),
        ("after-sound.mkv", [*SOUND, "-itsoffset", "10"], [*H264, "-copyts"], 0, 10),
        ("stream.ts", [], H264, 1.5, 1.5),
        # no index: what a seek finds first is the next key frame, here up to 1.5 s too late
        ("key-frames.ts", [], [*H264, "-g", "30", "-bf", "0"], 1.4, 1.4),
        ("key-frames.m2ts", [], ["-c:v", "mpeg2video", "-g", "30", "-vf", "hue=s=0.3"], 1.45, 1.45),
        ("day.ts", ["-itsoffset", "80000"], [*H264, "-g", "30", "-copyts", "-muxdelay", "0"], 80000, 80000),
    ],
)
def test_it_is_the_frame_of_that_time_in_files_that_do_not_begin_at_0(
    tmp_path: Path, name: str, before: list[str], after: list[str], file_start_s: float, video_start_s: float
) -> None:
    file = tmp_path / name
    source = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=20:duration=4"]
    subprocess.run([ffmpeg_path(), "-v", "error", *before, *source, *after, file], check=True)
    assert start_of(file) == pytest.approx(file_start_s)
    assert frames_of(file)[0][0] == pytest.approx(video_start_s)
    check(file)


def test_it_stands_upright_and_is_not_too_wide(real_videos: Path) -> None:
    assert decode_still(real_videos / "dc_video_90.mov", 0.0, 160, True).shape == (160, 90, 3)


def test_a_very_wide_frame_comes_out_lower(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 1600, 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 1600, 3), np.uint8), "rgb24")
        container.mux([*stream.encode(frame), *stream.encode()])
    assert decode_still(tmp_path / "wide.mp4", 0.0, 160, True).shape == (12, 640, 3)


def test_where_there_is_none_it_says_why(shape_videos: Path, tmp_path: Path) -> None:
    whole = shape_videos / "growing" / "0.mp4"
    with pytest.raises(NoPicture, match="no frame at that time"):
        decode_still(whole, 1000.0, 160, True)
    (tmp_path / "a.mp4").write_text("hello")
    with pytest.raises(NoPicture, match="Invalid data|moov atom"):
        decode_still(tmp_path / "a.mp4", 0.0, 160, True)
    with pytest.raises(NoPicture, match="No such file"):
        decode_still(tmp_path / "b.mp4", 0.0, 160, True)
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {whole}\n")
    with pytest.raises(NoPicture):  # a file that names another
        decode_still(tmp_path / "list.mp4", 0.0, 160, True)
