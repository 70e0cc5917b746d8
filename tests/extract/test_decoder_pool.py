"""Decoders that die, hang or meet damage cost a video, never the run."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from featx.clip.preprocess import Preprocessing
from featx.extract.decoding.decode import Decoding
from featx.extract.decoding.ffmpeg_args import DecodeOptions
from featx.extract.decoding.sampling import choose_sampling
from featx.extract.decoding.video_errors import DecodeError
from featx.extract.plan.videos import SourceVideo
from featx.extract.workers.decoder_pool import Chunk, PictureOptions, VideoEnd, decode_video


def ffmpeg_children() -> list[int]:
    listing = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "pid=,comm="], capture_output=True, text=True
    )
    return [int(line.split()[0]) for line in listing.stdout.splitlines() if "ffmpeg" in line]


def test_a_killed_decoder_costs_one_attempt(shape_videos: Path) -> None:
    """The pictures of the killed attempt are to be forgotten, and the second attempt is whole."""
    video = SourceVideo("v", shape_videos / "growing" / "0.mp4")
    options = PictureOptions(Preprocessing(64))
    undisturbed = list(decode_video(video, options))
    items = decode_video(video, options)
    first = next(items)
    assert isinstance(first, Chunk)
    (child,) = ffmpeg_children()
    os.kill(child, signal.SIGKILL)
    seen = [first, *items]
    (again,) = [i for i, item in enumerate(seen) if isinstance(item, VideoEnd) and item.restart]
    ending = seen[-1]
    assert isinstance(ending, VideoEnd) and ending.failure is None and ending.rows is not None
    for one, other in zip(seen[again + 1 : -1], undisturbed[:-1], strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_a_decoder_that_always_dies_is_a_failure(shape_videos: Path) -> None:
    stop = threading.Event()

    def kill_all() -> None:
        while not stop.is_set():
            for child in ffmpeg_children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            time.sleep(0.001)

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        # a long source, so that each attempt is killed before its end
        items = list(
            decode_video(
                SourceVideo("v", shape_videos / "growing" / "0.mp4"), PictureOptions(Preprocessing(1024))
            )
        )
    finally:
        stop.set()
        killer.join()
    endings = [item for item in items if isinstance(item, VideoEnd)]
    assert [end.restart for end in endings] == [True, True, False]
    assert endings[-1].failure is not None and "killed by signal 9" in endings[-1].failure.error


def test_a_decoder_that_hangs_is_killed(shape_videos: Path, tmp_path: Path, monkeypatch) -> None:
    script = tmp_path / "hangs"
    script.write_text("#!/bin/sh\nsleep 600 &\nwait\n")
    script.chmod(0o755)
    monkeypatch.setenv("FEATX_FFMPEG", str(script))
    with pytest.raises(DecodeError, match="no further frame for 1 s; --timeout allows longer pauses"):
        list(Decoding(shape_videos / "growing" / "0.mp4", DecodeOptions(timeout_s=1)))
    left = subprocess.run(["pgrep", "-f", "sleep 600"], capture_output=True, text=True).stdout
    assert not left


def test_time_spent_elsewhere_is_no_timeout(shape_videos: Path) -> None:
    count = 0
    for _ in Decoding(shape_videos / "growing" / "0.mp4", DecodeOptions(timeout_s=0.7)):
        if count < 3:
            time.sleep(0.5)  # an encoder that is slower than the decoder
        count += 1
    assert count > 40


@pytest.mark.parametrize("on_damage", ["drop", "keep"])
def test_what_becomes_of_a_damaged_video(real_videos: Path, on_damage: str) -> None:
    """28 frames come before the first damaged packet; one more, decoded before it, is shown after."""
    options = PictureOptions(Preprocessing(64), on_damage=on_damage)
    items = list(decode_video(SourceVideo("d", real_videos / "dc_corrupted.mp4"), options))
    again = next(number for number, item in enumerate(items) if isinstance(item, VideoEnd) and item.restart)
    *chunks, end = items[again + 1 :]
    assert sum(len(chunk.pixels) for chunk in chunks) == (29 if on_damage == "keep" else 0)
    assert end.failure is not None
    assert re.search(
        "Invalid NAL unit size|missing picture", end.failure.error
    )  # ffmpeg says both, and either first
    if on_damage == "drop":
        assert end.rows is None and "nothing of it is stored" in end.failure.outcome
    else:
        assert len(end.rows.picture) == 29 and not end.video_info.complete
        assert end.rows.frame_index[:28].tolist() == list(range(28))
        assert end.failure.outcome == "29 frames are sound, 21 are lost; the sound ones are stored"


def test_abandoned_decoders_leave_no_process(shape_videos: Path) -> None:
    items = decode_video(
        SourceVideo("v", shape_videos / "growing" / "0.mp4"), PictureOptions(Preprocessing(64))
    )
    assert isinstance(items, Generator)
    next(items)
    assert ffmpeg_children()
    items.close()
    assert not ffmpeg_children()


def test_the_number_of_packets_may_be_wrong(shape_videos: Path, monkeypatch) -> None:
    """Then the middle frames are chosen again, among the frames that really came out."""
    video = SourceVideo("v", shape_videos / "growing" / "0.mp4")
    options = PictureOptions(Preprocessing(64), DecodeOptions(sampling=choose_sampling(frames=5)))
    right = list(decode_video(video, options))
    monkeypatch.setattr("featx.extract.workers.decoder_pool.count_packets", lambda *_: 400)
    wrong = list(decode_video(video, options))
    np.testing.assert_array_equal(right[0].pixels, wrong[0].pixels)
    np.testing.assert_array_equal(right[1].rows.frame_index, wrong[1].rows.frame_index)
