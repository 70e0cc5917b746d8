"""Extraction end to end: the features are OpenAI's, both formats agree, failures are told, stopping loses nothing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import clip
import numpy as np
import pytest
import torch
from PIL import Image

from featx.encoders.openai import TINY_FILE
from featx.store.reader import FeatureStore
from featx.video.ffmpeg import ffmpeg_path

GOOD_FRAMES = {
    "cve1.mp4": 56,
    "vf1.mp4": 355,
    "mm_demo.mp4": 280,
    "mm_skel.avi": 103,
    "tc_h265_10bits.mp4": 30,
    "tc_av1_video.mkv": 125,
    "dc_video_90.mov": 3,
}
NOT_AS_IN_PYAV = {
    "tc_h265_10bits.mp4",
    "dc_video_90.mov",
}  # 10 bits; rotation: decoded by ffmpeg to PNG instead


@pytest.fixture(scope="module")
def stores(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("real")
    made = {}
    for format in ("zarr", "hdf5"):
        made[format] = folder / format
        command = [sys.executable, "-m", "featx.cli", "extract", real_videos, "--to", made[format]]
        command += ["--model", "tiny", "--format", format, "--dtype", "float32"]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        assert done.returncode == 3, done.stderr
        assert "1 videos failed (they are tried again next time); see" in done.stderr
    return made


def test_the_good_clips_are_whole_and_the_damaged_one_is_reported(stores: dict[str, Path]) -> None:
    store = FeatureStore(stores["zarr"])
    assert {video_id: store.rows(video_id) for video_id in store} == GOOD_FRAMES
    (failure,) = [json.loads(line) for line in (stores["zarr"] / "failures.jsonl").read_text().splitlines()]
    assert failure["id"] == "dc_corrupted.mp4"
    assert failure["outcome"] == "29 frames are sound, 21 are lost; nothing of it is stored"
    # ffmpeg says both, and either first
    assert re.search("Invalid NAL unit size|missing picture", failure["error"]) and failure["stderr"]


def test_both_formats_hold_the_same(stores: dict[str, Path]) -> None:
    zarr, hdf5 = (FeatureStore(stores[format]) for format in ("zarr", "hdf5"))
    for video_id in GOOD_FRAMES:
        one, other = zarr[video_id], hdf5[video_id]
        # the batches held other frames, which may move the last bits
        np.testing.assert_allclose(one.features, other.features, atol=1e-5)
        np.testing.assert_array_equal(one.pts, other.pts)
        np.testing.assert_array_equal(one.frame_index, other.frame_index)


def independent_frames(path: Path, folder: Path) -> list[Image.Image]:
    if path.name in NOT_AS_IN_PYAV:
        command = [
            ffmpeg_path(),
            "-v",
            "error",
            "-i",
            str(path),
            "-fps_mode",
            "passthrough",
            "-pix_fmt",
            "rgb24",
        ]
        subprocess.run([*command, str(folder / "%05d.png")], check=True, timeout=60)
        return [Image.open(file) for file in sorted(folder.glob("*.png"))]
    with av.open(str(path)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


@pytest.mark.parametrize("name", GOOD_FRAMES)
def test_features_are_those_of_openais_program(
    stores: dict[str, Path], real_videos: Path, tmp_path: Path, name: str
) -> None:
    model, preprocess = clip.load(str(TINY_FILE), device="cpu", jit=False)
    frames = independent_frames(real_videos / name, tmp_path)
    with torch.inference_mode():
        expected = model.encode_image(torch.stack([preprocess(frame) for frame in frames])).numpy()
    np.testing.assert_allclose(FeatureStore(stores["zarr"])[name].features, expected, atol=1e-5)


def test_ids_keep_their_folder_and_a_second_run_does_nothing(
    shape_videos: Path, tmp_path: Path, featx
) -> None:
    store = tmp_path / "s"
    first = featx("extract", shape_videos, "--to", store, "--model", "tiny")
    assert first.code == 0, first.err
    ids = {f"{motion}/{index}.mp4" for motion in ("growing", "falling") for index in range(3)}
    assert set(FeatureStore(store)) == ids
    shards = {file: file.stat().st_mtime_ns for file in store.glob("shards/*")}
    second = featx("extract", shape_videos, "--to", store, "--model", "tiny")
    assert second.code == 0 and "6 of 6 videos are in" in second.err
    assert {file: file.stat().st_mtime_ns for file in store.glob("shards/*")} == shards
    assert FeatureStore(store)["growing/0.mp4"].features.dtype == np.float16


def test_nothing_but_the_frame_decides_its_features(shape_videos: Path, tmp_path: Path, featx) -> None:
    """Batches, decoders, processes and formats change no bit, not even of float32."""
    ways = [
        ["--batch-size", 7, "--decoders", 1],
        ["--batch-size", 64, "--decoders", 3, "--format", "hdf5"],
        ["--device", "cpu,cpu", "--batch-size", 50],
    ]
    stores = []
    for number, way in enumerate(ways):
        stores.append(tmp_path / str(number))
        words = ["extract", shape_videos, "--to", stores[-1], "--model", "tiny", "--dtype", "float32"]
        assert featx(*words, *way).code == 0
    first, *others = (FeatureStore(store) for store in stores)
    for other in others:
        assert set(first) == set(other)
        for video_id in first:
            for part in ("features", "pts", "frame_index"):
                one, two = (getattr(store[video_id], part) for store in (first, other))
                np.testing.assert_array_equal(one, two)


def test_what_failed_is_tried_again(shape_videos: Path, tmp_path: Path, featx) -> None:
    folder, store = tmp_path / "videos", tmp_path / "s"
    folder.mkdir()
    (folder / "late.mp4").write_bytes(b"still being copied")
    shutil.copy(shape_videos / "growing" / "0.mp4", folder / "good.mp4")
    words = ["extract", folder, "--to", store, "--model", "tiny"]
    assert featx(*words).code == 3
    assert featx(*words).code == 3
    (failure,) = [json.loads(line) for line in (store / "failures.jsonl").read_text().splitlines()]
    assert (failure["id"], failure["stage"], failure["attempts"]) == ("late.mp4", "open", 2)
    shutil.copy(shape_videos / "growing" / "1.mp4", folder / "late.mp4")
    assert featx(*words).code == 0
    assert (store / "failures.jsonl").read_text() == ""
    assert set(FeatureStore(store)) == {"good.mp4", "late.mp4"}


def test_a_file_without_a_picture_is_a_failure(tmp_path: Path, featx) -> None:
    sound = tmp_path / "sound.mp4"
    command = [ffmpeg_path(), "-v", "error", "-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac", str(sound)]
    subprocess.run(command, check=True, timeout=60)
    assert featx("extract", sound, "--to", tmp_path / "s", "--model", "tiny").code == 3
    (failure,) = [json.loads(line) for line in (tmp_path / "s" / "failures.jsonl").read_text().splitlines()]
    assert failure["stage"] == "open" and failure["outcome"] == "no frame decoded"


def test_features_that_are_no_numbers_are_failures(shape_videos: Path, tmp_path: Path, featx) -> None:
    broken = torch.load(TINY_FILE)
    broken["visual.proj"] = torch.full_like(broken["visual.proj"], torch.inf)
    torch.save(broken, tmp_path / "broken.pt")
    outcome = featx(
        "extract", shape_videos, "--to", tmp_path / "s", "--model", f"openai:{tmp_path / 'broken.pt'}"
    )
    assert outcome.code == 3
    failures = [json.loads(line) for line in (tmp_path / "s" / "failures.jsonl").read_text().splitlines()]
    assert len(failures) == 6 and {failure["stage"] for failure in failures} == {"store"}
    assert all("not finite" in failure["error"] for failure in failures)
    assert not list(FeatureStore(tmp_path / "s"))


def test_wrong_use_is_one_line_that_names_the_way_out(shape_videos: Path, tmp_path: Path, featx) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    made = tmp_path / "made"
    assert featx("extract", shape_videos / "growing", "--to", made, "--model", "tiny").code == 0
    torch.manual_seed(0)
    other = torch.load(TINY_FILE)
    other["text_projection"] = torch.randn_like(other["text_projection"])
    torch.save(other, tmp_path / "other.pt")
    (tmp_path / "not.pt").write_bytes(b"no weights")
    cases = {
        "no such file or folder": [tmp_path / "none"],
        "no video in this folder": [empty],
        "--format tar: Input should be 'zarr' or 'hdf5'": [shape_videos, "--format", "tar"],
        "did you mean 'tiny'": [shape_videos, "--model", "tyny"],
        "not a CLIP checkpoint": [shape_videos, "--model", tmp_path / "not.pt"],
        r"made with other settings \(.*weights_sha256": [
            shape_videos,
            "--model",
            f"openai:{tmp_path / 'other.pt'}",
        ],
        r"made with other settings \(format: hdf5, not zarr": [shape_videos, "--format", "hdf5"],
        "would both be stored as '0.mp4'": [shape_videos / "growing", shape_videos / "falling"],
    }
    for message, words in cases.items():
        model = [] if "--model" in words else ["--model", "tiny"]
        outcome = featx("extract", *words, "--to", made, *model)
        assert outcome.code == 2
        assert re.search(message, outcome.err), outcome.err
        assert outcome.err.count("\n") == 1, outcome.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_an_error(tmp_path: Path, featx) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    outcome = featx("extract", tmp_path, "--to", tmp_path / "s", "--model", "tiny")
    assert outcome.code == 2 and "cannot read the folder" in outcome.err


def start(videos: Path, store: Path) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "featx.cli",
        "extract",
        str(videos),
        "--to",
        str(store),
        "--model",
        "tiny",
    ]
    return subprocess.Popen(
        [*command, "--decoders", "1", "--batch-size", "16"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_commits_what_is_whole_and_the_next_run_goes_on(
    shape_videos: Path, tmp_path: Path, number: signal.Signals, featx
) -> None:
    videos, store = tmp_path / "videos", tmp_path / "s"
    for copy in range(10, 20):
        shutil.copytree(shape_videos, videos / str(copy))
    # With one decoder videos come in the order of their names: when this one is reported, others are done.
    (videos / "12" / "broken.mp4").write_bytes(b"")
    process = start(videos, store)
    deadline = time.monotonic() + 120
    failures = store / "failures.jsonl"
    while not (failures.exists() and failures.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Run the same command again to go on" in said
    kept = set(FeatureStore(store))
    assert 0 < len(kept) < 60
    (videos / "12" / "broken.mp4").unlink()
    again = featx("extract", videos, "--to", store, "--model", "tiny")
    assert again.code == 0 and f"{len(kept)} of 60 videos are in" in again.err
    assert len(FeatureStore(store)) == 60
