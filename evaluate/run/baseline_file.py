"""``baseline.safetensors``: a baseline that can be scored again. See docs/evaluate.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from featx.errors import FeatxError
from featx.model.learned_file import FileKind, check_settings, read_learned, write_learned
from featx.scoring.results import Method
from featx.store.schema import Fingerprint

SCHEMA_VERSION = 1
BASELINE_FILE = "baseline.safetensors"
# Settings that scoring computes with.
NEEDED: dict[Method, dict[str, type]] = {
    "linear-probe": {"c": float},
    "zero-shot": {"clip_frames": int, "strides": list, "stride_weights": list},
}


class BaselineHeader(BaseModel):
    """What is written beside the tensors: `weight` and `bias`, or `means`, or none.

    ``learned_from`` is a digest of the videos that were learned from, their classes and their rows.
    """

    model_config = ConfigDict(extra="forbid")

    featx_baseline: int = SCHEMA_VERSION
    method: Method
    task: str = "recognition"
    templates: list[str]
    fingerprint: Fingerprint
    model_source: str
    classes: dict[str, str]
    data_set: str
    learned_from: str = ""
    settings: dict[str, Any]


def write_baseline(run: Path, header: BaselineHeader, tensors: dict[str, np.ndarray]) -> None:
    """Writes the file, whole or not at all."""
    import torch

    # save() writes an array's memory as it lies, whatever its order of axes
    arrays = {name: torch.from_numpy(np.ascontiguousarray(tensor)) for name, tensor in tensors.items()}
    write_learned(run / BASELINE_FILE, arrays, header)


def read_baseline(file: Path) -> tuple[BaselineHeader, dict[str, np.ndarray]]:
    """Reads the file.

    Raises:
        FeatxError: If it is damaged, of another schema version, or its tensors do not fit.
    """
    kind = FileKind(BaselineHeader, "featx_baseline", (SCHEMA_VERSION,), "baseline", "featx baseline")
    header, tensors = read_learned(file, kind)
    way_out = "make it again with featx baseline"
    check_settings(file, header.settings, NEEDED.get(header.method, {}), way_out)
    classes, width = len(header.classes), header.fingerprint.width
    shapes = {
        "linear-probe": {"weight": (classes, width), "bias": (classes,)},
        "nearest-mean": {"means": (classes, width)},
    }.get(header.method, {})
    there = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if there != shapes:
        raise FeatxError(f"{file}: its tensors do not fit its header ({there}, not {shapes}); {way_out}")
    return header, {name: tensor.numpy() for name, tensor in tensors.items()}
