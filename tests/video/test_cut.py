"""Parts cut out of videos: exactly the frames of those times, by PyAV's word; copies hold at least those."""

import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from featx.video.cut import FilePart, NotCut, copy_at_key_frames, cut_exactly
from featx.video.ffmpeg import ffmpeg_path

av = pytest.importorskip("av")
H264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p"]


def frames_of(file: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        return [
            (float(frame.pts * stream.time_base), frame.to_ndarray(format="gray8").astype(float))
            for frame in container.decode(stream)
        ]


def assert_same_pictures(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    """Compares two sequences: as they stand they differ less than with either of them moved on by a frame."""
    assert len(one) == len(other)
    height, width = one[0].shape
    other = [frame[:height, :width] for frame in other]

    def difference(some: list[np.ndarray], others: list[np.ndarray]) -> float:
        return float(np.mean([np.abs(a - b).mean() for a, b in zip(some, others, strict=True)]))

    as_they_stand = difference(one, other)
    assert as_they_stand < 3
    assert as_they_stand < min(difference(one[1:], other[:-1]), difference(one[:-1], other[1:]))


def check(file: Path, to: Path, first: int, past: int) -> None:
    """Cuts frames out by the times that a store has of them."""
    frames = frames_of(file)
    end_s = frames[past][0] if past < len(frames) else math.inf
    cut_exactly(file, to, FilePart(frames[first][0], end_s))
    clip = frames_of(to)
    assert_same_pictures([picture for _, picture in clip], [picture for _, picture in frames[first:past]])
    times = [time - clip[0][0] for time, _ in clip]  # an uneven rate stays uneven
    assert times == pytest.approx([time - frames[first][0] for time, _ in frames[first:past]], abs=0.002)
    assert not list(to.parent.glob(".*"))


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("plain.mp4", [], H264),
        ("late.mkv", ["-itsoffset", "10"], [*H264, "-copyts"]),
        # no index: a seek ends at a key frame behind the part
        ("key-frames.ts", [], [*H264, "-g", "90", "-bf", "0"]),
        ("old.m2ts", [], ["-c:v", "mpeg2video", "-g", "30"]),
        ("odd.mkv", [], ["-c:v", "ffv1", "-vf", "crop=159:119:0:0", "-pix_fmt", "yuv444p"]),
    ],
)
def test_it_has_exactly_those_frames(tmp_path: Path, name: str, before: list, after: list) -> None:
    file = tmp_path / name
    source = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=20:duration=5"]
    subprocess.run([ffmpeg_path(), "-v", "error", *before, *source, *after, file], check=True)
    for first, past in ((0, 7), (33, 52), (80, 100)):
        check(file, tmp_path / "clip.mp4", first, past)


@pytest.mark.parametrize("name", ["vf1.mp4", "mm_demo.mp4", "tc_h265_10bits.mp4"])
def test_it_has_exactly_those_frames_of_real_clips(real_videos: Path, tmp_path: Path, name: str) -> None:
    check(real_videos / name, tmp_path / "clip.mp4", 11, 23)


def test_sound_is_kept_in_step(tmp_path: Path) -> None:
    file, clip = tmp_path / "beep.mp4", tmp_path / "clip.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=20:duration=4"]
    # silence, and a tone from 2.0 s to 2.5 s
    sound = ["-f", "lavfi", "-i", "aevalsrc='if(between(t,2,2.5),sin(2764*t),0)':d=4:s=44100"]
    subprocess.run([ffmpeg_path(), "-v", "error", *source, *sound, *H264, "-c:a", "aac", file], check=True)
    cut_exactly(file, clip, FilePart(1.5, 3.0))
    with av.open(str(clip)) as container:
        parts = [(frame.time, frame.to_ndarray().ravel()) for frame in container.decode(audio=0)]
    loud = [time for time, samples in parts if np.abs(samples).max() > 0.5]
    assert min(loud) == pytest.approx(0.5, abs=0.05) and max(loud) == pytest.approx(1.0, abs=0.05)


def test_a_copy_holds_the_part_and_begins_at_a_key_frame(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=20:duration=5"]
    subprocess.run([ffmpeg_path(), "-v", "error", *source, *H264, "-g", "20", file], check=True)
    frames = [picture for _, picture in frames_of(file)]
    made = copy_at_key_frames(file, tmp_path / "clip.mp4", FilePart(1.5, 2.5))
    copied = [picture for _, picture in frames_of(made)]
    assert all(
        (one == other).all() for one, other in zip(copied[:30], frames[20:50], strict=True)
    )  # to the bit
    assert 30 <= len(copied) <= 40
    made = copy_at_key_frames(tmp_path / "a.mp4", tmp_path / "whole.avi", FilePart(0.0))
    assert made.name == "whole.mp4" and len(frames_of(made)) == 100


def test_what_cannot_be_cut_leaves_nothing(shape_videos: Path, tmp_path: Path) -> None:
    to, whole = tmp_path / "to", shape_videos / "growing" / "0.mp4"
    to.mkdir()
    with pytest.raises(NotCut, match="no frame at that time"):
        cut_exactly(whole, to / "clip.mp4", FilePart(1000.0, 1001.0))
    (tmp_path / "a.mp4").write_text("hello")
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {whole}\n")
    for bad in ("a.mp4", "list.mp4", "none.mp4"):
        for cut in (cut_exactly, copy_at_key_frames):
            with pytest.raises(NotCut):
                cut(tmp_path / bad, to / "clip.mp4", FilePart(0.0, 1.0))
    with pytest.raises(NotCut, match="step back"):
        copy_at_key_frames(whole, to / "clip.mp4", FilePart(0.0, 1.0, frames=(0, 5)))
    assert not list(to.iterdir())


def test_frames_are_counted_where_times_step_back(shape_videos: Path, tmp_path: Path) -> None:
    whole = shape_videos / "falling" / "0.mp4"
    cut_exactly(whole, tmp_path / "clip.mp4", FilePart(-1.0, -1.0, frames=(4, 19)))
    expected = [picture for _, picture in frames_of(whole)[4:19]]
    assert_same_pictures([picture for _, picture in frames_of(tmp_path / "clip.mp4")], expected)
