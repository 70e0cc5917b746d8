"""Files of weights are compared with what is published; what is not here can be fetched or not."""

import hashlib
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from featx.doctor.check import Check, State
from featx.doctor.weights import SIZES_MIB, check_weights
from featx.encoders.openai import published

CONTENT = np.random.default_rng(0).bytes(1000)
# OpenAI's constructor: embedding, input size, vision layers, width, patch, context, vocabulary, text width, heads, layers
SHAPES = {
    "RN50": (1024, 224, (3, 4, 6, 3), 64, None, 77, 49408, 512, 8, 12),
    "RN101": (512, 224, (3, 4, 23, 3), 64, None, 77, 49408, 512, 8, 12),
    "RN50x4": (640, 288, (4, 6, 10, 6), 80, None, 77, 49408, 640, 10, 12),
    "RN50x16": (768, 384, (6, 8, 18, 8), 96, None, 77, 49408, 768, 12, 12),
    "RN50x64": (1024, 448, (3, 15, 36, 10), 128, None, 77, 49408, 1024, 16, 12),
    "ViT-B/32": (512, 224, 12, 768, 32, 77, 49408, 512, 8, 12),
    "ViT-B/16": (512, 224, 12, 768, 16, 77, 49408, 512, 8, 12),
    "ViT-L/14": (768, 224, 24, 1024, 14, 77, 49408, 768, 12, 12),
    "ViT-L/14@336px": (768, 336, 24, 1024, 14, 77, 49408, 768, 12, 12),
}


def found(folder: Path) -> dict[str, Check]:
    return {check.name.removeprefix("weights "): check for check in check_weights(folder)}


@pytest.mark.parametrize("name", SHAPES)
def test_sizes_are_those_of_the_weights(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from clip.model import CLIP, convert_weights

    monkeypatch.setattr("torch.nn.init.normal_", lambda *words, **more: None)  # there are no values
    with torch.device("meta"):
        model = CLIP(*SHAPES[name])
    convert_weights(model)
    weights = sum(each.numel() * each.element_size() for each in model.state_dict().values()) / 2**20
    assert weights < SIZES_MIB[name] + 1 and math.isclose(weights, SIZES_MIB[name], rel_tol=0.005)


def test_every_published_model_has_a_size() -> None:
    assert set(published()) == set(SIZES_MIB) == set(SHAPES)


def test_damaged_weights_are_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import clip

    digest = hashlib.sha256(CONTENT).hexdigest()
    monkeypatch.setitem(clip.clip._MODELS, "whole", f"https://example.org/{digest}/whole.pt")
    (tmp_path / "whole.pt").write_bytes(CONTENT)
    (tmp_path / "ViT-B-16.pt").write_bytes(CONTENT)  # as a download that was cut off
    checks = found(tmp_path)
    assert checks["whole"].state is State.OK and "SHA-256 as published" in checks["whole"].found
    damaged = checks["ViT-B/16"]
    assert damaged.state is State.FAILURE and "(it has 0 MiB, theirs about 335 MiB)" in damaged.found
    assert damaged.advice.startswith("delete it")


def test_a_folder_in_the_place_of_weights_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "RN50.pt").mkdir()
    assert found(tmp_path)["RN50"].state is State.FAILURE


class Answers(BaseHTTPRequestHandler):
    """Has one file."""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path.endswith("/there.pt") else 404)
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/sha/there.pt", None),
        ("/sha/gone.pt", "cannot be reached from here (404 Not Found)"),
    ],
)
def test_whether_weights_can_be_fetched_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, path: str, said: str | None
) -> None:
    import clip

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setitem(clip.clip._MODELS, "ViT-B/16", f"{server}{path}")
    check = found(tmp_path / "cache")["ViT-B/16"]
    assert check.state is State.WARNING and f"(about 335 MiB) from {server}" in check.found
    assert (said or "") in check.found and ("cannot be reached" in check.found) == (said is not None)


def test_an_address_where_nobody_is_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import clip

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setitem(clip.clip._MODELS, "ViT-B/16", "http://127.0.0.1:9/sha/x.pt")
    check = found(tmp_path)["ViT-B/16"]
    assert "cannot be reached from here" in check.found and "download it elsewhere" in check.advice


def test_no_room_for_weights_is_a_failure(small_disk: Path) -> None:
    check = found(small_disk / "cache")["ViT-B/16"]
    assert check.state is State.FAILURE and "no room" in check.found
