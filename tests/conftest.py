"""What several tests share: the command line, small videos, a random CLIP, the real clips where they are present."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

SHARED = Path(os.environ.get("FEATX_SHARED", Path(__file__).parents[2] / "shared"))


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def featx(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs a featx command in this process and returns its exit code and what it printed."""
    from featx.cli import main

    def run(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["featx", *map(str, words)])
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture
def run_featx(featx: Callable[..., Outcome]) -> Callable[..., str]:
    """Runs a command that succeeds and returns what it printed."""

    def run(*words: object) -> str:
        outcome = featx(*words)
        assert outcome.code == 0, outcome.err
        return outcome.out

    return run


@pytest.fixture(scope="session")
def real_videos() -> Path:
    folder = SHARED / "videos"
    if not folder.is_dir():
        pytest.skip("no folder of real clips; set FEATX_SHARED")
    return folder


@pytest.fixture(scope="session")
def shape_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sub-folders of three short videos each; files of equal names in both."""
    from featx.data_manifests.moving_shapes.encode import encode
    from featx.data_manifests.moving_shapes.world import draw_clip

    folder = tmp_path_factory.mktemp("shapes")
    for number, motion in enumerate(("growing", "falling")):
        (folder / motion).mkdir()
        for index in range(3):
            scene = draw_clip(np.random.default_rng([number, index]), "star", motion)
            encode(scene, folder / motion / f"{index}.mp4", quality=25)
    return folder


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user has it: 20 videos in 4 class folders, and a picture."""
    from PIL import Image

    from featx.data_manifests.moving_shapes.encode import encode
    from featx.data_manifests.moving_shapes.world import draw_clip

    folder = tmp_path_factory.mktemp("work")
    for number, motion in enumerate(("growing", "shrinking", "rising", "falling")):
        (folder / "videos" / motion).mkdir(parents=True)
        for index in range(5):
            scene = draw_clip(np.random.default_rng([number, index]), "star", motion)
            encode(scene, folder / "videos" / motion / f"{index}.mp4", quality=25)
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "door.png")
    Image.fromarray(pixels).save(folder / "door.jpg")
    return folder


@pytest.fixture
def at_work(work: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder, as the current one."""
    monkeypatch.chdir(work)
    return work


@pytest.fixture(scope="session")
def random_clip():
    """OpenAI's own module with ViT-B/16's text tower in full size and a small image tower, random weights."""
    import torch
    from clip.model import CLIP

    torch.manual_seed(0)
    return CLIP(512, 64, 2, 128, 16, 77, 49408, 512, 8, 12).float().eval()


@pytest.fixture(scope="session")
def order_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from synthetic import make_order_data, tiny_fingerprint

    folder = tmp_path_factory.mktemp("order")
    make_order_data(folder, tiny_fingerprint())
    return folder


@pytest.fixture(scope="session")
def class_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from synthetic import make_class_data

    folder = tmp_path_factory.mktemp("classes")
    make_class_data(folder)
    return folder


@pytest.fixture(scope="session")
def segment_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from synthetic import make_segment_data

    folder = tmp_path_factory.mktemp("segment-world")
    make_segment_data(folder)
    return folder


@pytest.fixture
def made_run(class_data: Path, tmp_path: Path, featx) -> Callable[..., Path]:
    """Runs a command that makes a run of the class world's store, and returns its folder."""

    def make(*words: object, manifest: Path = class_data / "manifest.jsonl") -> Path:
        to = tmp_path / "run"
        given = ["--store", class_data / "features", "--manifest", manifest, "--to", to]
        outcome = featx(*words, *given)
        assert outcome.code == 0, outcome.err
        return to

    return make


@pytest.fixture(scope="session")
def caption_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from synthetic import make_caption_data

    folder = tmp_path_factory.mktemp("captions")
    make_caption_data(folder)
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where a test may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="session")
def served_store(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of those videos."""
    from explorer import extract

    return extract(work / "videos", tmp_path_factory.mktemp("served") / "features")


@pytest.fixture(scope="session")
def served_manifest(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of those videos, and one more that the store lacks; one has segments."""
    from featx.manifest.videos import Header, Manifest, Segment, Video, write_manifest

    classes = ["growing", "shrinking", "rising", "falling"]
    videos = []
    for label in classes:
        for number in range(5):
            name = f"{label}/{number}.mp4"
            videos.append(Video(id=name, path=name, label=label))
    videos[0] = videos[0].model_copy(update={"segments": [Segment(start_s=0.2, end_s=0.6, label="rising")]})
    videos.append(Video(id="falling/9.mp4", path="falling/9.mp4", label="falling"))
    header = Header(name="shapes", root=str(work / "videos"), classes={name: name for name in classes})
    file = tmp_path_factory.mktemp("manifest") / "shapes.jsonl"
    write_manifest(Manifest(header, videos, file))
    return file


@pytest.fixture(scope="module")
def client(served_store: Path, served_manifest: Path) -> Iterator[object]:
    pytest.importorskip("starlette")
    from starlette.testclient import TestClient

    from featx.evaluate.serve.app import make_app
    from featx.evaluate.serve.engine import Engine
    from featx.evaluate.serve.settings import ServeSettings

    engine = Engine(
        served_store, ServeSettings.model_validate({"manifest": served_manifest, "device": "cpu"})
    )
    with TestClient(make_app(engine), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client
