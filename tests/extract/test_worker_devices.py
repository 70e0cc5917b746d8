"""Where workers compute. No GPU is needed: what would show only on one is asked of the workers that a run starts."""

import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from featx.clip.preprocess import Preprocessing
from featx.errors import FeatxError
from featx.evaluate.predict.temporary_features import options_of
from featx.extract.decoding.batch import BATCH
from featx.extract.decoding.ffmpeg_args import every_frame_command, frame_command, picture_command
from featx.extract.decoding.hwaccel import device_of
from featx.extract.plan.settings import ExtractSettings
from featx.extract.plan.videos import SourceVideo
from featx.extract.workers.messages import DeviceLost, VideoDone, VideoFailed
from featx.extract.workers.options import picture_options
from featx.extract.workers.worker_pool import WorkerPool
from featx.extract.workers.worker_process import Worker, worker_context
from featx.store.reader import FeatureStore
from featx.video.ffmpeg import ffmpeg_path


def report(connection: Connection) -> None:
    preloaded = [name for name in ("torch", "torchvision", "clip") if name in sys.modules]
    import torch

    from featx.encoders.load import load_model

    load_model("tiny")
    connection.send((preloaded, torch._C._cuda_isInBadFork()))  # type: ignore[attr-defined]


def test_a_worker_can_use_a_gpu() -> None:
    """In a process forked from one that has asked for CUDA nothing on a GPU works."""
    context = worker_context()
    for _ in range(2):
        ours, theirs = context.Pipe()
        process = context.Process(target=report, args=(theirs,))
        process.start()
        theirs.close()
        preloaded, bad_fork = ours.recv()
        process.join()
        assert not bad_fork
        assert preloaded == ["torch", "torchvision"]  # imported once, for all workers


def test_the_error_of_a_missing_gpu_is_not_the_forks(shape_videos, tmp_path, featx) -> None:
    outcome = featx("extract", shape_videos, "--to", tmp_path / "s", "--model", "tiny", "--device", "cuda:99")
    assert outcome.code == 2 and outcome.err.startswith("featx: --device cuda:99: ")
    assert "fork" not in outcome.err, outcome.err


class SecondIsBroken(WorkerPool):
    """The second worker finds no ffmpeg, which it cannot go on from; it stands in for a GPU that fails."""

    def _start(self, slot: int) -> Worker:
        with pytest.MonkeyPatch.context() as patch:
            if slot == 1:
                patch.setenv("FEATX_FFMPEG", "/nowhere/ffmpeg")
            return super()._start(slot)


def test_the_others_do_the_videos_of_a_device_that_fails(shape_videos: Path) -> None:
    # More than the decoders of the first worker take at once: small videos come by the handful.
    paths = sorted(shape_videos.glob("*/*.mp4"))
    videos = [SourceVideo(f"{copy}/{path}", path) for copy in range(10) for path in paths]
    with SecondIsBroken(ExtractSettings(model="tiny", device="cpu,cpu", decoders=2)) as worker_pool:
        messages = list(worker_pool.work(videos))
        (lost,) = [message for message in messages if isinstance(message, DeviceLost)]
        assert "no such program" in str(lost.error) and 0 < lost.videos <= 2 * BATCH
        assert "no such program" in str(worker_pool.losses)
        # also what the good worker was not given before it had nothing more to do
        assert sorted(m.video.id for m in messages if isinstance(m, VideoDone)) == [
            video.id for video in videos
        ]
        assert not [message for message in messages if isinstance(message, VideoFailed)]


def test_a_device_that_fails_is_told_and_the_run_does_not_end_well(
    shape_videos: Path, tmp_path: Path, featx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featx.extract.run.WorkerPool", SecondIsBroken)
    words = ["extract", shape_videos, "--to", tmp_path / "s", "--model", "tiny", "--decoders", 2]
    outcome = featx(*words, "--device", "cpu,cpu")
    assert outcome.code == 2 and "--device cpu is given up: " in outcome.err
    assert "6 videos added" in outcome.err and len(FeatureStore(tmp_path / "s")) == 6
    monkeypatch.setenv("FEATX_FFMPEG", "/nowhere/ffmpeg")
    (tmp_path / "s2").mkdir()
    outcome = featx(*words[:3], tmp_path / "s2" / "s", *words[4:], "--device", "cpu,cpu")
    assert outcome.code == 2 and outcome.err.splitlines()[-1].count("--device cpu: ") == 2  # none is left


def test_a_worker_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in for a driver that hangs: no process has spoken after so short a time."""
    monkeypatch.setattr("featx.extract.workers.worker_process.FIRST_WORD_SECONDS", 0.0)
    message = "--device cpu: its process starts, and does not come to an end"
    with pytest.raises(FeatxError, match=message), WorkerPool(ExtractSettings(model="tiny", device="cpu")):
        pass


def test_a_batch_that_does_not_fit_names_the_option(shape_videos: Path, tmp_path: Path, featx) -> None:
    words = ["extract", shape_videos, "--to", tmp_path / "s", "--model", "tiny", "--device", "cpu"]
    outcome = featx(*words, "--compile", "--batch-size", 2_000_000_000)  # 24 TB of pictures
    assert outcome.code == 2 and outcome.err.splitlines()[-1].startswith(
        "featx: --device cpu: no memory left "
    )
    assert "--batch-size" in outcome.err and "Traceback" not in outcome.err


@pytest.mark.parametrize("hwaccel", ["cuda", "vaapi", "floppy", "auto"])
def test_a_decoding_device_that_is_not_there_ends_the_run_at_once(
    shape_videos: Path, tmp_path: Path, featx, hwaccel: str
) -> None:
    words = ["extract", shape_videos, "--to", tmp_path / "s", "--model", "tiny", "--device", "cpu"]
    outcome = featx(*words, "--decode-hwaccel", hwaccel)
    if outcome.code == 0:
        pytest.skip("it is there")
    assert outcome.code == 2 and outcome.err.count("\n") == 1, outcome.err
    assert f"--decode-hwaccel {hwaccel}: " in outcome.err and "cuda, vaapi" in outcome.err
    assert not (tmp_path / "s").exists()


FFMPEG_WITH_DEVICES = """#!/bin/bash
# Has every device: what is asked of it is written down and left out.
given=("$@"); kept=()
for ((i = 0; i < ${#given[@]}; i++)); do
  case "${given[i]}" in
    -hwaccel|-hwaccel_device|-hwaccel_output_format|-init_hw_device)
      echo "${given[i]} ${given[i+1]}" >> LOG; i=$((i + 1));;
    hwdownload,*) kept+=("${given[i]#hwdownload,}");;
    *) kept+=("${given[i]}");;
  esac
done
exec FFMPEG "${kept[@]}"
"""


def test_a_decoding_device_is_the_encoders_and_stands_in_the_fingerprint(
    shape_videos: Path, tmp_path: Path, featx, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program is a stand-in: no machine without a GPU has a device to decode on."""
    script, log = tmp_path / "ffmpeg", tmp_path / "log"
    script.write_text(FFMPEG_WITH_DEVICES.replace("LOG", str(log)).replace("FFMPEG", ffmpeg_path()))
    script.chmod(0o755)
    words = ["extract", shape_videos, "--model", "tiny", "--device", "cpu", "--to"]
    assert featx(*words, tmp_path / "plain").code == 0
    monkeypatch.setenv("FEATX_FFMPEG", str(script))
    outcome = featx(*words, tmp_path / "s", "--decode-hwaccel", "cuda")
    assert outcome.code == 0, outcome.err
    asked = log.read_text().splitlines()
    assert asked[:3] == ["-init_hw_device cuda", "-hwaccel cuda", "-hwaccel_output_format cuda"]
    assert set(asked[3:]) == {"-hwaccel cuda"} and len(asked) >= 3 + 6
    stored = {name: FeatureStore(tmp_path / name).header.fingerprint for name in ("plain", "s")}
    assert stored["s"].decoding == "hwaccel cuda" and not stored["plain"].decoding
    assert options_of(stored["s"])[-2:] == ["--decode-hwaccel", "cuda"]
    again = featx(*words, tmp_path / "s")
    assert again.code == 2 and "decoding: plain, not hwaccel cuda" in again.err


def test_a_worker_of_the_second_gpu_decodes_on_it() -> None:
    settings = ExtractSettings(decode_hwaccel="cuda")
    for device, expected in [("cuda:1", "1"), ("cuda", "0"), ("cpu", None)]:
        decode = picture_options(settings, Preprocessing(224), device).decode
        for command in (picture_command, every_frame_command, frame_command):
            words = command(Path("a.mp4"), decode)
            assert words[words.index("-hwaccel") + 1] == "cuda"
            found = words[words.index("-hwaccel_device") + 1] if "-hwaccel_device" in words else None
            assert found == expected
            assert words.index("-hwaccel") < words.index("-i")
    assert device_of("vaapi", "cuda:1") == "" and device_of("", "cuda:1") == ""
