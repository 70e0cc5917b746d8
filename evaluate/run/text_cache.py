"""The features of class texts, encoded once for an adapter and a class list and kept in the run's folder.

Damaged or foreign files are encoded again and replaced: a cache may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from featx import __version__
from featx.files.atomic import write_atomically

FOLDER = "text-features"


def cached_text(run: Path, key: str, encode: Callable[[], Tensor]) -> Tensor:
    """Returns what ``encode`` returned the first time that it was asked for under ``key``.

    Args:
        run: The run's folder.
        key: Of `text_key`.
        encode: Computes the (C, D) float32 features.
    """
    from safetensors.torch import save

    file = run / FOLDER / f"{key}.safetensors"
    text = _read(file, key)
    if text is None:
        text = encode().float().cpu().contiguous()
        with contextlib.suppress(OSError):  # a run that may not be written into is no reason to fail
            write_atomically(file, save({"text": text}, metadata={"key": key, "digest": _digest(text)}))
    return text


def text_key(adapter_file: Path, texts: list[str], weights_sha256: str) -> str:
    """Returns what text features depend on, as one word: the adapter, the texts in order, CLIP, and featx's version."""
    adapter = hashlib.sha256(adapter_file.read_bytes()).hexdigest()
    parts = json.dumps([adapter, texts, weights_sha256, __version__])
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def _read(file: Path, key: str) -> Tensor | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as opened:
            metadata, text = opened.metadata() or {}, opened.get_tensor("text")
    except (OSError, SafetensorError, ValueError, KeyError):
        return None
    return text if metadata.get("key") == key and metadata.get("digest") == _digest(text) else None


def _digest(text: Tensor) -> str:
    shape = f"{tuple(text.shape)} {text.dtype}".encode()
    return hashlib.sha256(shape + text.numpy().tobytes()).hexdigest()
