"""Small files of kinds that went wrong once, from the shared script: each gives what is right (skipped without it)."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED

from featx.extract.plan.settings import ExtractSettings
from featx.extract.remarks import Remarks
from featx.store.reader import FeatureStore
from featx.store.schema import VideoInfo

ROWS = {
    **{"joined.ts": 40, "joined_sizes.ts": 40, "late.mkv": 20, "still_and_video.mp4": 40},
    **{f"sizes.{ending}": 40 for ending in ("mkv", "mp4", "avi")},
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    script = SHARED / "cases" / "make_cases.py"
    if not script.is_file():
        pytest.skip("no script of faulty files; set FEATX_SHARED")
    folder = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, str(script), str(folder)], check=True, timeout=120)
    return folder


def test_faulty_files_give_what_is_right(cases: Path, tmp_path: Path, featx) -> None:
    outcome = featx("extract", cases, "--to", tmp_path / "s", "--model", "tiny")
    assert outcome.code == 3
    store = FeatureStore(tmp_path / "s")
    assert {video_id: store.rows(video_id) for video_id in store} == ROWS
    (failure,) = [json.loads(line) for line in (tmp_path / "s" / "failures.jsonl").read_text().splitlines()]
    assert failure["id"] == "bomb.gif" and "--max-pixels allows more than" in failure["error"]
    assert "3 hidden files and folders are left out" in outcome.err and "--hidden takes them" in outcome.err
    assert "2 videos with times that step back" in outcome.err
    assert "1 video with several video streams" in outcome.err

    video_info = store.video_info(list(store))
    assert (video_info["still_and_video.mp4"].width, video_info["still_and_video.mp4"].stream) == (320, 1)
    np.testing.assert_allclose(store.pts("late.mkv"), 10 + np.arange(20) / 20)
    assert video_info["late.mkv"].start_s == 10.0
    for name in ("joined.ts", "joined_sizes.ts"):
        np.testing.assert_allclose(store.pts(name), 1.5 + np.arange(40) / 20, atol=1e-4)
        assert (video_info[name].time_jumps, video_info[name].concealed, video_info[name].complete) == (
            1,
            0,
            True,
        )
    # The first halves are the same recording, and so are the second ones, in whatever file they are.
    joined, sizes = (store[name].features for name in ("joined.ts", "joined_sizes.ts"))
    np.testing.assert_array_equal(joined[:20], joined[20:])
    np.testing.assert_array_equal(joined[:20], sizes[:20])
    for one in ("sizes.mp4", "sizes.avi"):
        np.testing.assert_array_equal(store[one].features, store["sizes.mkv"].features)


def test_a_bomb_takes_little_memory(cases: Path) -> None:
    """The decoder's peak stays far below the 3 GB of one of the pictures that the file promises four of."""
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from featx.clip.preprocess import Preprocessing\n"
        "from featx.extract.workers.decoder_pool import PictureOptions, decode_video\n"
        "from featx.extract.plan.videos import SourceVideo\n"
        "def own(): return int(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])\n"
        "imported = own()\n"
        "end = list(decode_video(SourceVideo('b', Path(sys.argv[1])), PictureOptions(Preprocessing(64))))[-1]\n"
        "assert end.failure is not None\n"
        "children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "print((max(own(), children) - imported) // 1024)"  # a child's peak begins with that of its parent
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(cases / "bomb.gif")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 500


def test_what_is_unusual_is_counted_and_named() -> None:
    plain = VideoInfo("a", 1, 1, 64, 64, 1.0, sample_aspect="1:1", interlaced=False, streams=1, concealed=0)
    odd = VideoInfo(
        "b",
        1,
        1,
        64,
        64,
        1.0,
        sample_aspect="4:3",
        interlaced=True,
        streams=2,
        transfer="smpte2084",
        time_jumps=1,
    )
    remarks = Remarks(ExtractSettings())
    remarks.note("plain", plain)
    assert remarks.lines() == []
    for number in range(5):
        remarks.note(f"odd {number}", odd)
    lines = remarks.lines()
    assert len(lines) == 5 and all(line.startswith("5 videos ") and "odd 2, …" in line for line in lines)
    mended = Remarks(ExtractSettings(square_pixels=True, deinterlace=True, stream=0))
    mended.note("odd", odd)
    assert len(mended.lines()) == 2
