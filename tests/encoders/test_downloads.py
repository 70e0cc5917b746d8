"""Nothing is downloaded without a line that says what, from where and how large; offline nothing is."""

import hashlib
import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hub_server import hub_of
from transformers_folders import make_folder

from featx.encoders.downloads import fetch_url, told_through
from featx.encoders.load import load_model
from featx.errors import FeatxError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_folder("siglip", tmp_path_factory.mktemp("models") / "siglip")
    (folder / "training_args.bin").write_bytes(b"x" * 1000)
    return folder


def run(tmp_path: Path, address: str, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    offline = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "TRANSFORMERS_VERBOSITY"}
    environment = {name: value for name, value in os.environ.items() if name not in offline}
    environment |= {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
    environment |= {"no_proxy": "*", "HOME": str(tmp_path), "HF_HUB_DISABLE_TELEMETRY": "1"} | variables
    command = [sys.executable, "-W", "ignore", "-m", "featx", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_a_model_of_the_hub_is_fetched_once_and_said(
    folder: Path, shape_videos: Path, tmp_path: Path
) -> None:
    words = ["extract", shape_videos, "--model", "siglip:some/model", "--quiet", "--to"]
    with hub_of({"some/model": folder}) as (address, fetched):
        refused = run(tmp_path, address, "--offline", *words, tmp_path / "a")
        assert refused.returncode == 2 and not fetched
        (line,) = refused.stderr.strip().splitlines()
        assert "some/model is not here, and offline nothing is downloaded; fetch it elsewhere" in line
        done = run(tmp_path, address, *words, tmp_path / "a")
        assert done.returncode == 0, done.stderr
        said = [line for line in done.stderr.splitlines() if line.startswith("downloads")]
        wanted = {file for file in folder.iterdir() if file.name != "training_args.bin"}
        size = f"{sum(file.stat().st_size for file in wanted) / 2**20:,.1f} MiB"
        assert said == [
            f"downloads some/model ({size}) from {address}/some/model to {tmp_path / 'hf' / 'hub'}"
        ]
        assert set(fetched) == {file.name for file in wanted}
        again = run(tmp_path, address, "--offline", *words, tmp_path / "b")  # it is here now
        assert again.returncode == 0 and "downloads" not in again.stderr
        unknown = run(tmp_path, address, *words[:2], "--model", "siglip:some/other", "--to", tmp_path / "c")
        assert unknown.returncode == 2 and "the Hub has no model 'some/other'" in unknown.stderr
        assert len(unknown.stderr.strip().splitlines()) == 1


def test_no_network_is_one_line(shape_videos: Path, tmp_path: Path) -> None:
    for model in ("siglip:some/model", "open_clip:ViT-B-16@laion400m_e32"):
        done = run(
            tmp_path, "http://127.0.0.1:9", "extract", shape_videos, "--model", model, "--to", tmp_path / "x"
        )
        assert done.returncode == 2
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith("featx: --model") and "cannot be fetched" in line and "hf download" in line


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "weights.pt").write_bytes(b"weights" * 100_000)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(tmp_path / "served"))

        def log_message(self, *words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}/weights.pt"
        served.shutdown()


def test_a_file_is_fetched_whole_or_not_at_all(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    said: list[str] = []
    to = tmp_path / "cache" / "weights.pt"
    with told_through(said.append):
        with pytest.raises(ValueError, match="another file than its SHA-256 says"):
            fetch_url(server, to, "some weights", "0" * 64)
        assert list(to.parent.iterdir()) == []
        right = hashlib.sha256(b"weights" * 100_000).hexdigest()
        fetch_url(server, to, "some weights", right[:8])
    assert to.read_bytes() == b"weights" * 100_000 and len(list(to.parent.iterdir())) == 1
    assert said == [f"downloads some weights (0.7 MiB) from {server} to {to}"] * 2
    with pytest.raises(OSError, match="404"):
        fetch_url(server + "x", to.with_name("other"), "some weights")


@pytest.mark.parametrize("variable", ["FEATX_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_openais_weights_are_not_fetched(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("FEATX_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "1")
    with pytest.raises(FeatxError, match="offline nothing is downloaded; download https://") as refused:
        load_model("ViT-B/16")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_openais_is_neither_loaded_nor_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / ".cache" / "clip" / "ViT-B-16.pt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half")
    with pytest.raises(FeatxError, match=f"{re.escape(str(file))} is not the file that OpenAI published"):
        load_model("ViT-B/16")
    assert file.read_bytes() == b"half"


@pytest.mark.parametrize(
    ("missing", "source", "extra"),
    [
        ("transformers", "siglip:x", "transformers"),
        ("open_clip", "open_clip:ViT-B-16@x", "open-clip"),
    ],
)
def test_a_missing_extra_is_named(
    missing: str, source: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not installed
    with pytest.raises(FeatxError, match=re.escape(f"pip install 'featx[{extra}]'")) as refused:
        load_model(source)
    assert "\n" not in str(refused.value)


def test_a_gelu_checkpoint_is_refused_without_open_clip_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"text_projection": torch.zeros(2, 2)}, tmp_path / "mine.pt")
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(
        FeatxError, match="if GELU, --model open_clip:ARCHITECTURE@.*featx.open-clip."
    ) as refused:
        load_model(str(tmp_path / "mine.pt"))
    assert "\n" not in str(refused.value)


def test_a_dry_run_fetches_nothing(class_data: Path, tmp_path: Path, featx, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    given = [
        "--store",
        class_data / "features",
        "--manifest",
        class_data / "manifest.jsonl",
        "--to",
        tmp_path / "x",
    ]
    done = featx("train", "--dry-run", *given, "--model", "siglip:some/model")
    assert "siglip:some/model is not here yet: the run downloads it" in done.out + done.err
