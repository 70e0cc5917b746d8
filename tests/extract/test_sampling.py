"""Sampling against a brute-force reading of its definitions, on constant and variable frame rates."""

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featx.clip.preprocess import Preprocessing
from featx.errors import FeatxError
from featx.extract.decoding.decode import Decoding, count_packets
from featx.extract.decoding.ffmpeg_args import DecodeOptions
from featx.extract.decoding.sampling import choose_sampling, even_frames, frames_on_screen
from featx.extract.plan.videos import SourceVideo
from featx.extract.workers.decoder_pool import Chunk, PictureOptions, decode_video
from featx.video.ffmpeg import ffmpeg_path

SIZE = 32
MODES = [
    {},
    *({"fps": fps} for fps in ("0.3", "1", "2", "7", "30000/1001", "50")),
    *({"every": step} for step in (2, 5, 1000)),
    *({"frames": count} for count in (1, 4, 16, 150)),
    {"keyframes": True},
]
# milliseconds between the frames of variable videos
GAPS = {
    "growing": [10 * i for i in range(1, 30)],
    "bursts": [20, 20, 20, 700, 20, 20, 20, 1500, 40, 40] * 2,
    "one": [],
}


def make_video(path: Path, gaps_ms: list[int]) -> Path:
    """Writes a video whose frame k has brightness 20 + 7 k mod 29 steps, at the times that the gaps give."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"crf": "0", "g": "7", "bf": "2"}
        for index, pts in enumerate(np.cumsum([300, *gaps_ms])):
            picture = np.full((SIZE, SIZE, 3), brightness(index), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = int(pts), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def brightness(index: int) -> int:
    return 20 + 7 * (index % 29)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("rates")
    made = [
        make_video(folder / f"{name}.{kind}", gaps) for name, gaps in GAPS.items() for kind in ("mkv", "mp4")
    ]
    made.append(make_video(folder / "constant.mp4", [40] * 49))
    command = [ffmpeg_path(), "-v", "error", "-i", str(made[-1]), "-c:v", "mpeg4", "-bf", "2", "-q:v", "2"]
    subprocess.run([*command, str(folder / "constant.avi")], check=True, timeout=60)
    return [*made, folder / "constant.avi"]


def source_frames(path: Path) -> tuple[list[Fraction], list[bool], Fraction]:
    """PyAV's reading: times from the first frame, key or not, and the end of the last frame.

    Matroska files of a variable rate do not say how long the last frame is shown: as long as the one before.
    """
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    if path.suffix == ".avi":  # carries no presentation times; its frames come at a constant rate
        step = Fraction(1, 25) if path.stem == "constant" else Fraction(0)
        times = [step * i for i in range(len(frames))]
    else:
        times = [(frame.pts - frames[0].pts) * frame.time_base for frame in frames]
    said = Fraction(frames[-1].duration or 0) * frames[-1].time_base
    guessed = path.suffix == ".mkv" and path.stem != "tc_av1_video" and len(times) > 1
    duration = times[-1] - times[-2] if guessed else said
    return times, [frame.key_frame for frame in frames], times[-1] + duration


def expected_frames(path: Path, mode: dict) -> list[int]:
    """The definitions of docs/extract.md, read literally, one row after another."""
    times, keys, end = source_frames(path)
    count = len(times)
    if "fps" in mode:
        rows, fps = [], Fraction(mode["fps"])
        while Fraction(len(rows)) / fps < end:
            now = Fraction(len(rows)) / fps
            rows.append(max(k for k in range(count) if times[k] <= now))
        return rows
    if "every" in mode:
        return [k for k in range(count) if k % mode["every"] == 0]
    if "frames" in mode:
        part = Fraction(count, mode["frames"])
        return [int(part * j + part / 2) for j in range(mode["frames"])]
    return [k for k in range(count) if keys[k] or not mode]


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_rows_are_the_frames_that_the_definition_names(videos: list[Path], mode: dict) -> None:
    for path in videos:
        options = PictureOptions(Preprocessing(SIZE), DecodeOptions(sampling=choose_sampling(**mode)))
        *chunks, end = decode_video(SourceVideo(path.name, path), options)
        assert end.failure is None and end.rows is not None, end.failure
        frames = expected_frames(path, mode)
        if path.suffix == ".avi" and "keyframes" in mode:
            # Without presentation times in the file, B-frames move a key frame's number by up to their count.
            assert np.abs(end.rows.frame_index - frames).max() <= 2
            continue
        assert end.rows.frame_index.tolist() == frames, path.name
        times, _, _ = source_frames(path)
        np.testing.assert_allclose(
            end.rows.pts - end.rows.pts[0], [float(times[k] - times[frames[0]]) for k in frames], atol=1e-6
        )
        assert all(isinstance(chunk, Chunk) for chunk in chunks)
        pictures = np.concatenate([chunk.pixels for chunk in chunks])[end.rows.picture]
        seen = pictures.mean(axis=(1, 2, 3))
        np.testing.assert_allclose(seen, [brightness(k) for k in frames], atol=3)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(1, 900), max_size=25),
    st.fractions(Fraction(1, 5), 40, max_denominator=1001),
    st.integers(1, 40),
)
def test_any_rate_of_any_video(tmp_path: Path, gaps_ms: list[int], fps: Fraction, count: int) -> None:
    path = make_video(tmp_path / "any.mkv", gaps_ms)
    for mode in ({"fps": str(fps)}, {"frames": count}):
        options = PictureOptions(Preprocessing(SIZE), DecodeOptions(sampling=choose_sampling(**mode)))
        *chunks, end = decode_video(SourceVideo("any", path), options)
        frames = expected_frames(path, mode)
        assert end.rows is not None and end.rows.frame_index.tolist() == frames
        seen = np.concatenate([chunk.pixels for chunk in chunks])[end.rows.picture].mean(axis=(1, 2, 3))
        np.testing.assert_allclose(seen, [brightness(k) for k in frames], atol=3)


@given(st.integers(1, 500), st.integers(1, 500))
def test_even_frames_are_spread_evenly(frames: int, rows: int) -> None:
    chosen = even_frames(frames, rows)
    assert chosen[0] >= 0 and chosen[-1] < frames
    assert np.ptp(np.diff(chosen)) <= 1 if rows > 1 else chosen[0] == frames // 2
    np.testing.assert_array_equal(
        chosen, [int(Fraction((2 * j + 1) * frames, 2 * rows)) for j in range(rows)]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": "2", "every": 3}, "--fps and --every: give one of them"),
        ({"fps": "0"}, "--fps 0: must be a positive number"),
        ({"fps": "fast"}, "--fps fast: must be a positive number"),
        ({"fps": "1/0"}, "--fps 1/0: must be a positive number"),
    ],
)
def test_wrong_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(FeatxError, match=message):
        choose_sampling(**options)


def test_real_clips_by_time(real_videos: Path) -> None:
    """An odd frame rate (19.62), B-frames, AV1, a rotated clip: one row for each half second."""
    for name in ("vf1.mp4", "mm_demo.mp4", "tc_av1_video.mkv", "dc_video_90.mov", "cve1.mp4"):
        sampling = choose_sampling(fps="2")
        decoding = Decoding(real_videos / name, DecodeOptions(sampling=sampling))
        pictures = list(decoding)
        index = frames_on_screen(decoding.times, sampling.value, len(pictures))
        assert index.tolist() == expected_frames(real_videos / name, {"fps": "2"})
        assert count_packets(real_videos / name, DecodeOptions()) == len(decoding.times.pts)
        whole = list(Decoding(real_videos / name, DecodeOptions()))
        assert all((picture == whole[k]).all() for picture, k in zip(pictures, index, strict=True))
