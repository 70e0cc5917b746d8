"""Features of sentences, by the CLIP of a store or by any other one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from featx.devices import choose_device
from featx.encoders.load import load_model
from featx.encoders.model import ImageTextModel
from featx.encoders.text import encode_sentences
from featx.errors import FeatxError
from featx.features.dataset import load_model_of
from featx.library.calls import PathLike
from featx.output.console import warn
from featx.output.library_function import library_function
from featx.store.reader import FeatureStore
from featx.store.schema import STORE_FILE


@library_function()
def encode_text(
    store_or_model: FeatureStore | PathLike,
    sentences: str | Sequence[str],
    *,
    model: PathLike | None = None,
    device: str = "auto",
) -> torch.Tensor:
    """Encodes sentences, as they are, with the text encoder of a CLIP.

    Args:
        store_or_model: A store or its folder, whose own CLIP is taken; or a CLIP: a name such as ``ViT-B/16``, ``tiny``,
            or the path of a checkpoint.
        sentences: C sentences, or one.
        model: Where the CLIP of the store is now, if not where the store says: a name or a checkpoint's path.
        device: Device to compute on: cpu, cuda or cuda:1. auto takes a GPU if there is one.

    Returns:
        (C, D) float32 features of unit length, on the CPU.

    Warns:
        FeatxWarning: If a sentence is longer than CLIP's 77 tokens and is cut.

    Raises:
        FeatxError: If there is no sentence, or the CLIP is not there or not the one that made the store.
    """
    texts = [sentences] if isinstance(sentences, str) else list(sentences)
    if not texts or not all(text.strip() for text in texts):
        raise FeatxError("sentences: must be at least one, and none empty")
    features, cut = encode_sentences(texts, _clip_of(store_or_model, model).text.to(choose_device(device)))
    if cut:
        warn(
            f"{len(cut)} of {len(texts)} sentences are longer than CLIP's 77 tokens and were cut: '{texts[cut[0]]}' first"
        )
    return features


def _clip_of(given: FeatureStore | PathLike, model: PathLike | None) -> ImageTextModel:
    if not isinstance(given, FeatureStore):
        if not (Path(given) / STORE_FILE).is_file():
            return load_model(str(given))
        given = FeatureStore(Path(given))
    return load_model_of(given, None if model is None else str(model))
