"""Class texts are encoded once for an adapter and a class list, and again when anything changes."""

import json
from pathlib import Path

import pytest
import torch

from featx.encoders.text import TextTower
from featx.evaluate.run.text_cache import FOLDER, cached_text, text_key


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the texts that go through the text tower."""
    counts: list[int] = []
    encode = TextTower.encode

    def counting(self, plan, *words):
        counts.append(len(plan))
        return encode(self, plan, *words)

    monkeypatch.setattr(TextTower, "encode", counting)
    return counts


def test_eval_encodes_once_and_again_when_something_changed(
    order_data: Path, tmp_path: Path, featx, encoded: list[int]
) -> None:
    run = tmp_path / "run"
    base = [
        "train",
        "--store",
        order_data / "features",
        "--manifest",
        order_data / "manifest.jsonl",
        "--to",
        run,
    ]
    train = [*base, "--prompts", 2, "--layers", 0, "--steps", 2]
    assert featx(*train).code == 0
    encoded.clear()

    def scores(*words: object) -> str:
        outcome = featx("eval", run, "--format", "json", *words)
        assert outcome.code == 0, outcome.err
        return json.dumps(json.loads(outcome.out)["rows"])

    first = scores()
    assert encoded == [2]
    assert scores() == first and encoded == [2]

    (file,) = (run / FOLDER).iterdir()
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    assert scores() == first and encoded == [2, 2]  # damage is seen
    assert scores() == first and encoded == [2, 2]  # and mended
    file.write_bytes(b"")
    assert scores() == first and encoded == [2] * 3

    manifest = tmp_path / "renamed.jsonl"
    manifest.write_text(
        (order_data / "manifest.jsonl").read_text().replace("star growing", "a star that grows")
    )
    scores("--manifest", manifest)
    assert encoded == [2] * 4
    assert scores() == first and encoded == [2] * 4  # the first list is still there

    assert featx(*train, "--seed", 1, "--fresh").code == 0
    encoded.clear()
    scores()
    assert encoded == [2]


def test_what_is_cached_is_what_was_encoded(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter.safetensors"
    adapter.write_bytes(b"adapter")
    text = torch.randn(3, 8)
    key = text_key(adapter, ["a", "b", "c"], "0" * 64)
    assert torch.equal(cached_text(tmp_path, key, lambda: text), text)
    assert torch.equal(cached_text(tmp_path, key, lambda: torch.zeros(3, 8)), text)
    others = {text_key(adapter, ["a", "c", "b"], "0" * 64), text_key(adapter, ["a", "b", "c"], "1" * 64)}
    adapter.write_bytes(b"another")
    others.add(text_key(adapter, ["a", "b", "c"], "0" * 64))
    assert len(others) == 3 and key not in others
