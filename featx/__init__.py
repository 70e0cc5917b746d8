"""featx: frozen CLIP features of videos, computed once, and what is learned on them.

The names below are loaded when they are used, so that ``import featx`` is quick. docs/api.md shows them at work.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featx.encoders.text import TextTower
    from featx.errors import FeatxError, FeatxWarning
    from featx.evaluate.api import Evaluation, LoadedAdapter, evaluate_runs, load_adapter, search
    from featx.extract.api import ExtractReport, extract_features
    from featx.library.clip_dataset import ClipDataset
    from featx.library.encode_text import encode_text
    from featx.library.stores import open_store
    from featx.store.reader import FeatureStore
    from featx.train.api import TrainedRun, train_adapter

__version__ = "0.1.0"

__all__ = [
    "ClipDataset",
    "Evaluation",
    "ExtractReport",
    "FeatureStore",
    "FeatxError",
    "FeatxWarning",
    "LoadedAdapter",
    "TextTower",
    "TrainedRun",
    "encode_text",
    "evaluate_runs",
    "extract_features",
    "load_adapter",
    "open_store",
    "search",
    "train_adapter",
]

# Each name and its module. The only place where the shared part names the stages, which it never imports.
_HOMES = {
    "ClipDataset": "featx.library.clip_dataset",
    "Evaluation": "featx.evaluate.api",
    "ExtractReport": "featx.extract.api",
    "FeatureStore": "featx.store.reader",
    "FeatxError": "featx.errors",
    "FeatxWarning": "featx.errors",
    "LoadedAdapter": "featx.evaluate.api",
    "TextTower": "featx.encoders.text",
    "TrainedRun": "featx.train.api",
    "encode_text": "featx.library.encode_text",
    "evaluate_runs": "featx.evaluate.api",
    "extract_features": "featx.extract.api",
    "load_adapter": "featx.evaluate.api",
    "open_store": "featx.library.stores",
    "search": "featx.evaluate.api",
    "train_adapter": "featx.train.api",
}


def __getattr__(name: str) -> Any:
    """Loads a public name.

    Raises:
        AttributeError: If there is no such name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'featx' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Returns the names that are there, loaded or not."""
    return sorted({*globals(), *__all__})
