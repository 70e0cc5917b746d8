"""`--scale-on device` stores the very features of `--scale-on cpu`, whatever the file and the sampling."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from featx.clip.exact_pictures import FrameLayout
from featx.clip.preprocess import Preprocessing
from featx.errors import FeatxError
from featx.extract.plan.settings import ExtractSettings
from featx.extract.workers import worker
from featx.extract.workers.picture_check import first_difference
from featx.extract.workers.picture_maker import PictureMaker, joined
from featx.store.reader import FeatureStore
from featx.video.ffmpeg import ffmpeg_path

# name: size, pixel format, filters or tags behind it
FILES = {
    "plain.mkv": ("90x64", "yuv420p", []),
    "odd-width.mkv": ("91x64", "yuv420p", []),
    "odd-height.mkv": ("90x63", "yuv420p", []),
    "bt709.mkv": ("130x244", "yuv420p", ["-vf", "setparams=colorspace=bt709:range=tv"]),
    "full-range.mkv": ("90x64", "yuv420p", ["-vf", "setparams=colorspace=bt709:range=pc"]),
    "422.mkv": ("90x64", "yuv422p", []),
    "444.mkv": ("90x64", "yuv444p", []),
    "10-bit.mkv": ("90x64", "yuv420p10le", []),
    "grey.mkv": ("90x64", "gray", []),
    "tall.mkv": ("60x130", "yuv420p", []),
    "rgb.mkv": ("90x64", "bgr0", []),
}
FROM_PLANES = {"plain.mkv", "odd-width.mkv", "bt709.mkv", "unturned.mp4"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pixel-formats")

    def write(name: str, *words: str) -> None:
        subprocess.run([ffmpeg_path(), "-v", "error", *words, str(folder / name)], check=True)

    for name, (size, pixels, tags) in FILES.items():
        source = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=10:duration=4"]
        write(name, *source, *tags, "-pix_fmt", pixels, "-c:v", "ffv1")
    source = ["-f", "lavfi", "-i", "testsrc2=size=90x64:rate=10:duration=4"]
    write("unturned.mp4", *source, "-pix_fmt", "yuv420p", "-c:v", "libx264")
    write("turned.mp4", "-display_rotation", "90", "-i", str(folder / "unturned.mp4"), "-c", "copy")
    return folder


@pytest.mark.parametrize("options", [[], ["--keyframes"], ["--fps", "3", "--channel-order", "bgr"]])
def test_same_features(
    files: Path, tmp_path: Path, run_featx: Callable[..., str], options: list[str]
) -> None:
    stores = {}
    for where in ("cpu", "device"):
        words = ["--model", "tiny", "--device", "cpu", "--dtype", "float32", "--stats", tmp_path / where]
        run_featx("extract", files, "--to", tmp_path / f"on-{where}", "--scale-on", where, *words, *options)
        stores[where] = FeatureStore(tmp_path / f"on-{where}")
    assert set(stores["cpu"]) == set(stores["device"]) == {*FILES, "unturned.mp4", "turned.mp4"}
    for video_id in stores["cpu"]:
        one, other = stores["cpu"][video_id], stores["device"][video_id]
        assert np.array_equal(one.features, other.features), video_id
        assert np.array_equal(one.pts, other.pts), video_id
    figures = json.loads((tmp_path / "device").read_text())
    from_planes = sum(len(stores["cpu"][video_id].features) for video_id in FROM_PLANES)
    assert figures["frames_from_planes"] >= from_planes > 0
    if not options:  # else some frames are decoded, looked at, and not taken
        assert figures["frames_from_planes"] == from_planes
    assert json.loads((tmp_path / "cpu").read_text())["frames_from_planes"] == 0


def test_a_trial_at_the_start_finds_one_wrong_byte() -> None:
    maker = PictureMaker(48, "cpu")
    assert maker.problem() is None

    def wrong(frames: list[np.ndarray], layout: FrameLayout) -> np.ndarray:
        pictures = maker.make(frames, layout).numpy()
        if layout.matrix == "709":
            pictures[0, 20, 30, 1] ^= 1
        return pictures

    found = first_difference(wrong, 48)
    assert found is not None and "bt709" in found


def test_a_failed_trial_is_said_or_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PictureMaker, "problem", lambda self: "noise came out otherwise")
    # a device that is no CPU: nothing is computed on it here
    options, remark = worker._picture_options(ExtractSettings(), Preprocessing(48), "cuda:0")
    assert options.maker is None and not options.decode.planes
    assert "scaled on the CPU" in remark and "noise came out otherwise" in remark
    with pytest.raises(FeatxError, match="--scale-on device: noise came out otherwise; give --scale-on cpu"):
        worker._picture_options(ExtractSettings(scale_on="device"), Preprocessing(48), "cuda:0")


def test_auto_is_pillow_on_a_cpu_and_planes_on_a_gpu() -> None:
    assert worker.picture_options(ExtractSettings(), Preprocessing(48), "cpu").maker is None
    options = worker.picture_options(ExtractSettings(), Preprocessing(48), "cuda:1")
    assert options.maker is not None and options.decode.planes
    for other in ({"preprocess": "fast"}, {"square_pixels": True}, {"deinterlace": True}):
        assert worker.picture_options(ExtractSettings(**other), Preprocessing(48), "cuda:1").maker is None


def test_pictures_of_both_kinds_stay_in_turn() -> None:
    parts = [np.full((2, 4, 4, 3), 1, np.uint8), torch.full((1, 4, 4, 3), 2, dtype=torch.uint8)]
    both = joined([*parts, parts[0]])
    assert isinstance(both, torch.Tensor)
    assert both[:, 0, 0, 0].tolist() == [1, 1, 2, 1, 1]
    assert isinstance(joined([parts[0]]), np.ndarray)


def test_pictures_of_another_kind_are_made_by_pillow_and_device_is_refused() -> None:
    squashed = Preprocessing(64, squash=True)
    assert worker.picture_options(ExtractSettings(), squashed, "cuda:0").maker is None
    for wanted, word in (
        ({"scale_on": "device"}, "--scale-on device"),
        ({"preprocess": "fast"}, "--preprocess fast"),
    ):
        with pytest.raises(FeatxError, match=f"{word}.*squashed to 64"):
            worker.picture_options(ExtractSettings(**wanted), squashed)
