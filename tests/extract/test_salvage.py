"""Files that are joined, damaged or change on the way: every frame that can be true is taken, and no other.

The truth is the undamaged file, decoded by PyAV: a kept row must show the picture that is shown at its time there.
"""

import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from featx.clip.preprocess import Preprocessing
from featx.extract.decoding.decoder_log import SourceFrames
from featx.extract.decoding.ffmpeg_args import DecodeOptions
from featx.extract.decoding.packets import Packets
from featx.extract.decoding.salvage import true_frames
from featx.extract.decoding.sampling import choose_sampling
from featx.extract.plan.videos import SourceVideo
from featx.extract.workers.decoder_pool import Chunk, PictureOptions, VideoEnd, decode_video
from featx.video.ffmpeg import ffmpeg_path

SIDE = 64
TS_PACKET = 188


def make(
    to: Path, *words: str, size: str = "96x64", seconds: float = 2, rate: int = 20, start: float = 0
) -> Path:
    """Writes a test picture that differs in every frame."""
    source = f"testsrc2=size={size}:rate={rate}:duration={seconds},noise=alls=20:allf=t"
    command = [ffmpeg_path(), "-y", "-v", "error", "-itsoffset", str(start), "-f", "lavfi", "-i", source]
    codec = words or ("-c:v", "libx264", "-g", "10", "-bf", "2")
    subprocess.run([*command, "-pix_fmt", "yuv420p", *codec, "-copyts", str(to)], check=True, timeout=60)
    return to


def decoded(path: Path, **options: object) -> tuple[np.ndarray, VideoEnd]:
    """Returns the pictures of the rows, (R, n, n, 3), and the last word on a video."""
    picture = {key: options.pop(key) for key in ("on_damage",) if key in options}
    decode = DecodeOptions(**{"fast": None, **options})  # type: ignore[arg-type]
    chunks: list[np.ndarray] = []
    for item in decode_video(SourceVideo("v", path), PictureOptions(Preprocessing(SIDE), decode, **picture)):  # type: ignore[arg-type]
        if isinstance(item, Chunk):
            chunks.append(item.pixels)
        elif item.restart:
            chunks = []
        else:
            end = item
    if end.rows is None:
        return np.empty((0, SIDE, SIDE, 3), np.uint8), end
    return np.concatenate(chunks)[end.rows.picture], end


def true_pictures(path: Path) -> list[tuple[float, np.ndarray]]:
    """PyAV's frames: time in seconds on the file's timeline, picture prepared by CLIP's own program."""
    from clip.clip import _transform

    *steps, _, _, _ = _transform(SIDE).transforms
    found = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = frame.to_image()
            for step in steps:
                picture = step(picture)
            found.append((float(frame.pts * frame.time_base), np.asarray(picture)))
    return found


def assert_all_true(path: Path, pictures: np.ndarray, seconds: np.ndarray) -> None:
    truth = true_pictures(path)
    times = np.array([time for time, _ in truth])
    for picture, time in zip(pictures, seconds, strict=True):
        nearest = int(np.abs(times - time).argmin())
        assert abs(times[nearest] - time) < 2e-3
        np.testing.assert_array_equal(picture, truth[nearest][1])


def join(to: Path, *parts: Path) -> Path:
    to.write_bytes(b"".join(part.read_bytes() for part in parts))
    return to


def test_joined_recordings_are_whole_and_their_times_go_on(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a.ts"), make(tmp_path / "b.ts", size="64x96", seconds=1)
    pictures, end = decoded(join(tmp_path / "joined.ts", first, second))
    assert end.failure is None and end.video_info.complete
    assert (end.video_info.concealed, end.video_info.time_jumps) == (0, 1)
    truth = true_pictures(first) + true_pictures(second)
    assert len(pictures) == len(truth) == 60
    for picture, (_, expected) in zip(pictures, truth, strict=True):
        np.testing.assert_array_equal(picture, expected)
    start = truth[0][0]  # of the first; the second's frames follow its last one at the same pace
    np.testing.assert_allclose(end.rows.pts, start + np.arange(60) / 20, atol=1e-4)


@pytest.mark.parametrize("mode", [{"fps": "4"}, {"every": 7}, {"frames": 9}, {"keyframes": True}], ids=str)
def test_sampling_of_joined_recordings(tmp_path: Path, mode: dict) -> None:
    """The rows are those among the rows of every frame that the definition names."""
    joined = join(
        tmp_path / "j.ts", make(tmp_path / "a.ts"), make(tmp_path / "b.ts", size="64x96", seconds=1)
    )
    every, whole = decoded(joined)
    pictures, end = decoded(joined, sampling=choose_sampling(**mode))
    expected = {
        "fps": [5 * row for row in range(12)],
        "every": list(range(0, 60, 7)),
        "frames": [(2 * row + 1) * 60 // 18 for row in range(9)],
        "keyframes": [0, 10, 20, 30, 40, 50],
    }[next(iter(mode))]
    assert end.rows.frame_index.tolist() == expected
    np.testing.assert_array_equal(pictures, every[expected])
    np.testing.assert_array_equal(end.rows.pts, whole.rows.pts[expected])


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("ending", ["mkv", "mp4", "avi"])
def test_each_frame_is_prepared_from_its_own_size(tmp_path: Path, ending: str, fast: bool) -> None:
    jpeg = ("-c:v", "mjpeg", "-q:v", "3")
    parts = [make(tmp_path / f"{size}.mjpeg", *jpeg, size=size, seconds=0.5) for size in ("96x64", "64x128")]
    stream = join(tmp_path / "both.mjpeg", *parts)
    sizes = tmp_path / f"sizes.{ending}"
    command = [ffmpeg_path(), "-v", "error", "-f", "mjpeg", "-framerate", "20", "-i", str(stream)]
    subprocess.run([*command, "-c", "copy", str(sizes)], check=True, timeout=60)
    pictures, end = decoded(sizes, fast=Preprocessing(SIDE) if fast else None)
    truth = np.stack([picture for part in parts for _, picture in true_pictures(part)])
    assert end.failure is None and len(pictures) == len(truth) == 20
    error = ((pictures.astype(float) - truth) ** 2).mean(axis=(1, 2, 3))
    assert error.max() < (255**2 / 10 ** (50 / 10) if fast else 1e-9)


def lose_packets(path: Path, first: int, count: int) -> Path:
    """Takes whole packets out of a transport stream, as a bad reception does."""
    content = path.read_bytes()
    damaged = path.with_name(f"lost-{first}.ts")
    damaged.write_bytes(content[: first * TS_PACKET] + content[(first + count) * TS_PACKET :])
    return damaged


def wreck_packets(path: Path, first: int, count: int) -> Path:
    """Overwrites whole packets, which no decoder can take for pictures."""
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content = path.read_bytes()
    for packet in packets[first : first + count]:
        content = content.replace(packet, b"\xff" * len(packet))
    damaged = path.with_name(f"wrecked-{first}{path.suffix}")
    damaged.write_bytes(content)
    return damaged


def cut_off(path: Path, first: int, count: int) -> Path:
    damaged = path.with_name(f"cut-{first}{path.suffix}")
    damaged.write_bytes(path.read_bytes()[:first])
    return damaged


H264 = ("-c:v", "libx264", "-g", "10", "-bf", "2")
DAMAGES: list[tuple[str, tuple[str, ...], Callable[[Path, int, int], Path], int]] = [
    ("ts", H264, lose_packets, 7),
    ("ts", ("-c:v", "libx265", "-x265-params", "keyint=10:log-level=none"), lose_packets, 7),
    ("mkv", H264, wreck_packets, 2),
    ("mkv", ("-c:v", "libx265", "-x265-params", "keyint=10:log-level=none"), wreck_packets, 2),
    ("mp4", (*H264, "-movflags", "faststart"), wreck_packets, 2),
    ("mp4", (*H264, "-movflags", "faststart"), cut_off, 0),
    ("ts", H264, cut_off, 0),
]


@pytest.mark.parametrize(
    "ending, codec, damage, count", DAMAGES, ids=lambda value: getattr(value, "__name__", None)
)
def test_nothing_that_was_made_up_is_kept(
    tmp_path: Path, ending: str, codec: tuple[str, ...], damage: Callable, count: int
) -> None:
    """At five places a file loses something; the rows that are kept show what the whole file shows at their times."""
    whole = make(tmp_path / f"whole.{ending}", *codec, seconds=3)
    size = whole.stat().st_size
    units = {lose_packets: size // TS_PACKET, wreck_packets: 60, cut_off: size}[damage]
    behind = 0
    for place in (0.25, 0.4, 0.55, 0.7, 0.85):
        damaged = damage(whole, int(units * place), count)
        pictures, end = decoded(damaged, on_damage="keep")
        if end.failure is None and (ending, damage) != ("ts", cut_off):  # where nothing says how long it was
            assert end.rows is not None and len(pictures) == 60, "less than everything without a word"
        if end.rows is None:
            continue
        assert_all_true(whole, pictures, end.rows.pts)
        if damage is not cut_off:
            behind += bool((end.rows.pts - end.rows.pts[0]).max() > 2.7)
            assert len(pictures) >= 30
        assert end.video_info.complete == (end.failure is None)
    assert behind >= 3 or damage is cut_off, "decoding does not go on behind the damage"


def test_a_recording_that_begins_in_the_middle_is_no_damage(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.ts", seconds=3)
    content = whole.read_bytes()
    begun = tmp_path / "begun.ts"
    # tables first, then from a third of the file on
    begun.write_bytes(content[: 3 * TS_PACKET] + content[len(content) // TS_PACKET // 3 * TS_PACKET :])
    pictures, end = decoded(begun)
    assert end.failure is None and end.video_info.complete
    assert 20 < len(pictures) < 45
    assert_all_true(whole, pictures, end.rows.pts)


def test_which_frames_are_true_in_worked_examples() -> None:
    """Decoding order I0 P3 B1 B2 | I6 B4 B5 P9 B7 B8, shown 0 to 9; B4 and B5 lean on both sides of I6."""
    pts = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
    key = [time in (0, 6) for time in pts]

    def truth(
        lost: set[int] = frozenset(),
        errors: bool = True,
        unsure: set[int] = frozenset(),
        gaps: set[int] = frozenset(),
    ) -> tuple[list[int], int]:
        shown = np.array([time for time in range(10) if time not in lost])
        none_of_two = np.zeros((len(shown), 2))
        frames = SourceFrames(
            shown, np.ones_like(shown), np.isin(shown, [0, 6]), none_of_two, none_of_two, Fraction(1)
        )
        none = np.zeros(10, bool)
        packets = Packets(np.array(pts), np.arange(10) + 10**12, np.array(key), none, none, Fraction(1))
        is_true, count = true_frames(
            frames, packets, np.isin(pts, list(unsure)), np.isin(pts, list(gaps)), errors
        )
        return shown[is_true].tolist(), count

    assert truth(errors=False) == (list(range(10)), 0)
    assert truth({3}) == ([0, 6, 7, 8, 9], 5)  # what builds on P3 falls with it, and B4, B5 of the next group
    assert truth({2}) == ([0, 1, 3, 6, 7, 8, 9], 3)
    assert truth({6}) == ([0, 1, 2, 3], 6)
    assert truth({9}) == ([0, 1, 2, 3, 4, 5, 6], 3)
    assert truth({8}, errors=False) == ([0, 1, 2, 3, 4, 5, 6, 7, 9], 0)  # a packet that shows nothing
    assert truth(gaps={2}, errors=False) == ([0, 1, 2, 3, 6, 7, 8, 9], 2)  # between B2 and I6
    assert truth(gaps={2}, unsure={2}, errors=False) == ([0, 1, 3, 6, 7, 8, 9], 3)  # there, or in B2
    assert truth(gaps={0}, errors=False) == ([0, 6, 7, 8, 9], 5)
    assert truth({0, 1, 2, 3}) == ([6, 7, 8, 9], 0)  # begins in the middle


def test_the_moving_stream_goes_before_a_larger_still(tmp_path: Path) -> None:
    both = tmp_path / "both.mp4"
    still = ["-f", "lavfi", "-i", "testsrc2=size=128x96:rate=1:duration=1"]
    moving = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=20:duration=2"]
    codec = ["-map", "0:v", "-map", "1:v", "-c:v", "libx264", "-pix_fmt", "yuv420p"]
    subprocess.run([ffmpeg_path(), "-v", "error", *still, *moving, *codec, str(both)], check=True, timeout=60)
    pictures, end = decoded(both)
    assert (len(pictures), end.video_info.width, end.video_info.stream, end.video_info.streams) == (
        40,
        64,
        1,
        2,
    )
    pictures, end = decoded(both, stream=0)
    assert (len(pictures), end.video_info.width, end.video_info.stream) == (1, 128, 0)


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    song = tmp_path / "song.mp4"
    command = [ffmpeg_path(), "-v", "error", "-f", "lavfi", "-i", "sine=d=1"]
    command += ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=1:duration=1", "-map", "0", "-map", "1"]
    command += ["-c:v", "mjpeg", "-disposition:v", "attached_pic", "-frames:v", "1", str(song)]
    subprocess.run(command, check=True, timeout=60)
    _, end = decoded(song)
    assert end.failure is not None and "only a cover picture; --stream 1 takes that" in end.failure.error
    pictures, end = decoded(song, stream=1)
    assert len(pictures) == 1 and end.failure is None


@pytest.mark.parametrize("start", [0.0, 10.0])
def test_times_are_those_of_the_file(tmp_path: Path, start: float) -> None:
    for ending in ("mkv", "ts", "mp4"):
        path = make(tmp_path / f"late.{ending}", seconds=0.5, start=start)
        pictures, end = decoded(path)
        assert_all_true(path, pictures, end.rows.pts)
        np.testing.assert_allclose(end.rows.pts, [time for time, _ in true_pictures(path)], atol=2e-3)
        assert abs(end.rows.pts[0] - end.video_info.start_s) < 0.1


def test_pixels_and_fields_are_as_asked(tmp_path: Path) -> None:
    path = make(
        tmp_path / "wide.mkv", "-vf", "setsar=2/1,setfield=tff", "-c:v", "ffv1", "-flags", "+ildct+ilme"
    )
    plain, end = decoded(path)
    assert (end.video_info.sample_aspect, end.video_info.interlaced) == ("2:1", True)
    square, _ = decoded(path, square_pixels=True)
    assert square.shape == plain.shape and (square != plain).any()
    whole, other = decoded(path, deinterlace=True)
    assert whole.shape == plain.shape and (whole != plain).any()
    np.testing.assert_array_equal(other.rows.pts, end.rows.pts)
    fast, _ = decoded(path, square_pixels=True, fast=Preprocessing(SIDE))
    error = ((fast.astype(float) - square) ** 2).mean()
    assert error < 255**2 / 10 ** (45 / 10)


def test_a_decoder_that_complains_for_ever_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "complains"
    script.write_text("#!/bin/sh\nyes '[h264 @ 0x1] [error] Invalid NAL unit size' >&2\n")
    script.chmod(0o755)
    (tmp_path / "v.mp4").write_bytes(b"x" * 2**17)  # too large for a batch
    monkeypatch.setenv("FEATX_FFMPEG", str(script))
    _, end = decoded(tmp_path / "v.mp4")
    assert end.failure is not None and end.failure.error == "nothing but errors: [h264] Invalid NAL unit size"


SOURCES = {
    "a.mp4": (),
    "b.ts": (),
    "c.avi": ("-c:v", "mpeg4", "-bf", "2"),
    "d.webm": ("-c:v", "libvpx-vp9", "-g", "8"),
    "e.mpg": ("-c:v", "mpeg2video", "-g", "10", "-r", "25"),
}


def spoiled(content: bytes, rng: np.random.Generator) -> bytes:
    """Flips bits, cuts off, zeroes, doubles, takes out, or overwrites a piece."""
    place, kind = int(rng.integers(len(content))), rng.integers(6)
    if kind == 0:
        flipped = bytearray(content)
        for _ in range(rng.choice([1, 10, 100])):
            flipped[rng.integers(len(flipped))] ^= 1 << int(rng.integers(8))
        return bytes(flipped)
    noise = rng.bytes(300)
    return [
        content[:place],
        content[:place] + bytes(500) + content[place + 500 :],
        content[:place] + content[max(place - 2000, 0) :],
        content[:place] + content[place + 1500 :],
        content[:place] + noise + content[place + len(noise) :],
    ][kind - 1]


def spoil_and_decode(tmp_path: Path, seed: int, rounds: int) -> None:
    rng = np.random.default_rng(seed)
    sources = [make(tmp_path / name, *words, seconds=1) for name, words in SOURCES.items()]
    modes = [{}, {"fps": "3"}, {"every": 3}, {"frames": 4}, {"keyframes": True}]
    for number in range(rounds):
        source, mode = sources[number % len(sources)], modes[int(rng.integers(len(modes)))]
        spoiled_file = tmp_path / f"spoiled{source.suffix}"
        spoiled_file.write_bytes(spoiled(source.read_bytes(), rng))
        pictures, end = decoded(spoiled_file, on_damage="keep", sampling=choose_sampling(**mode))
        if end.rows is None:
            assert end.failure is not None
            continue
        assert 0 < len(pictures) == len(end.rows.pts) == len(end.rows.frame_index)
        assert np.isfinite(end.rows.pts).all()
        assert (np.diff(end.rows.pts) >= 0).all() and (np.diff(end.rows.frame_index) >= 0).all()
        assert end.video_info.complete == (end.failure is None)


def test_whatever_a_file_has_been_through_rows_fit_or_it_failed(tmp_path: Path) -> None:
    spoil_and_decode(tmp_path, 0, 25)


@pytest.mark.slow
def test_whatever_many_files_have_been_through(tmp_path: Path) -> None:
    for seed in range(1, 5):
        spoil_and_decode(tmp_path, seed, 250)


def test_frames_of_two_sizes_are_stretched_each_from_its_own(tmp_path: Path) -> None:
    """A file's pixels have one shape, which its container states: the rows are those of each part alone."""
    jpeg = ("-vf", "setsar=2/1", "-c:v", "mjpeg", "-q:v", "3")
    parts = [make(tmp_path / f"{size}.mjpeg", *jpeg, size=size, seconds=0.5) for size in ("96x64", "64x96")]
    rows = []
    for name, stream in {"both": join(tmp_path / "both.mjpeg", *parts), "a": parts[0], "b": parts[1]}.items():
        video = tmp_path / f"{name}.mkv"
        command = [ffmpeg_path(), "-v", "error", "-f", "mjpeg", "-framerate", "20", "-i", str(stream)]
        subprocess.run([*command, "-c", "copy", str(video)], check=True, timeout=60)
        rows.append(decoded(video, square_pixels=True)[0])
    both, first, second = rows
    assert len(first) == len(second) == 10 and (both != decoded(tmp_path / "both.mkv")[0]).any()
    np.testing.assert_array_equal(both, np.concatenate([first, second]))
