"""Small videos that are decoded together give what each gives alone, and a bad one among them costs the others nothing."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featx.clip.preprocess import Preprocessing
from featx.extract.decoding import batch
from featx.extract.decoding.ffmpeg_args import DecodeOptions
from featx.extract.decoding.sampling import choose_sampling
from featx.extract.plan.videos import SourceVideo
from featx.extract.workers.decoder_pool import (
    Chunk,
    PictureOptions,
    VideoEnd,
    decode_small_videos,
    decode_video,
)
from featx.video.ffmpeg import ffmpeg_path

KINDS = {
    "a.mp4": ("64x48", ["-c:v", "libx264", "-bf", "2"]),
    "b.mkv": ("48x64", ["-c:v", "libvpx-vp9", "-b:v", "200k"]),
    "c.mov": ("64x64", ["-c:v", "mjpeg"]),
    "d.avi": ("32x48", ["-c:v", "mpeg4"]),
    "e.mp4": ("64x48", ["-c:v", "libx264", "-vf", "setsar=2/1"]),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[SourceVideo]:
    folder = tmp_path_factory.mktemp("small")
    for number, (name, (size, words)) in enumerate(KINDS.items()):
        source = f"testsrc2=size={size}:rate={10 + number}:duration={1 + number / 10}"
        command = [ffmpeg_path(), "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", *words]
        subprocess.run([*command, str(folder / name)], check=True, timeout=60)
    return [SourceVideo(name, folder / name) for name in KINDS]


def by_video(items: list[Chunk | VideoEnd]) -> dict[str, tuple[np.ndarray, VideoEnd]]:
    pixels: dict[str, list[np.ndarray]] = {}
    ends: dict[str, VideoEnd] = {}
    for item in items:
        if isinstance(item, Chunk):
            pixels.setdefault(item.video.id, []).append(item.pixels)
        elif item.restart:
            pixels.pop(item.video.id, None)
        else:
            ends[item.video.id] = item
    return {name: (np.concatenate(pixels.get(name, [np.empty(0)])), end) for name, end in ends.items()}


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("mode", [{}, {"fps": "7"}, {"every": 4}], ids=str)
def test_together_as_alone(small: list[SourceVideo], mode: dict, fast: bool) -> None:
    decode = DecodeOptions(
        sampling=choose_sampling(**mode), fast=Preprocessing(32) if fast else None, square_pixels=fast
    )
    options = PictureOptions(Preprocessing(32), decode)
    paths = [video.path for video in small]
    # A line of the log that another thread has written into is a doubt too, and now and then there is one.
    assert any(batch.decode_batch(paths, decode) is not None for _ in range(10))
    together = by_video(list(decode_small_videos(small, options)))
    for video in small:
        pixels, end = together[video.id]
        expected, alone = by_video(list(decode_video(video, options)))[video.id]
        np.testing.assert_array_equal(pixels, expected)
        for part in ("picture", "pts", "frame_index"):
            np.testing.assert_array_equal(getattr(end.rows, part), getattr(alone.rows, part))
        assert end.video_info == alone.video_info and end.failure is None


def test_a_bad_one_costs_the_others_nothing(small: list[SourceVideo], tmp_path: Path) -> None:
    for name, content in {
        "cut.mp4": small[0].path.read_bytes()[:2000],
        "empty.mp4": b"",
        "text.avi": b"hello",
    }.items():
        bad = tmp_path / name
        bad.write_bytes(content)
        videos = [small[0], SourceVideo(name, bad), *small[1:]]
        assert batch.decode_batch([video.path for video in videos], DecodeOptions()) is None
        found = by_video(list(decode_small_videos(videos, PictureOptions(Preprocessing(32)))))
        assert {key for key, (_, end) in found.items() if end.failure} == {name}
        assert all(end.rows is not None for key, (_, end) in found.items() if key != name)


def test_what_grows_large_is_decoded_alone(small: list[SourceVideo], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MAX_PIXEL_BYTES", 10_000)
    assert batch.decode_batch([video.path for video in small], DecodeOptions()) is None
    for options in (
        DecodeOptions(stream=0),
        DecodeOptions(hwaccel="cuda"),
        DecodeOptions(sampling=choose_sampling(keyframes=True)),
    ):
        assert not batch.can_be_batched(small[0].path, options)
    assert batch.can_be_batched(small[0].path, replace(options, sampling=choose_sampling()))
