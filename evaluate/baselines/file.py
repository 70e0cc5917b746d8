"""``baseline.safetensors``: a baseline that can be scored again. See docs/evaluate.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from featx.errors import FeatxError
from featx.files import write_atomically
from featx.results import Method
from featx.store.schema import Fingerprint

SCHEMA_VERSION = 1
BASELINE_FILE = "baseline.safetensors"


class BaselineHeader(BaseModel):
    """What is written beside the tensors: `weight` and `bias`, or `means`, or none."""

    model_config = ConfigDict(extra="forbid")

    featx_baseline: int = SCHEMA_VERSION
    method: Method
    task: str = "recognition"
    templates: list[str]
    fingerprint: Fingerprint
    model_source: str
    classes: dict[str, str]
    data_set: str
    settings: dict[str, Any]


def write_baseline(run: Path, header: BaselineHeader, tensors: dict[str, np.ndarray]) -> None:
    """Writes the file, whole or not at all."""
    from safetensors.numpy import save

    # save() writes an array's memory as it lies, whatever its order of axes
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    write_atomically(run / BASELINE_FILE, save(tensors, metadata={"featx": header.model_dump_json()}))


def read_baseline(file: Path) -> tuple[BaselineHeader, dict[str, np.ndarray]]:
    """Reads the file.

    Raises:
        FeatxError: If it is damaged or of another schema version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="np") as opened:
            content = json.loads((opened.metadata() or {}).get("featx", "{}"))
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise FeatxError(
            f"{file}: cannot read the baseline ({error}); make it with featx baseline"
        ) from error
    if content.get("featx_baseline") != SCHEMA_VERSION:
        version = content.get("featx_baseline")
        raise FeatxError(f"{file}: schema version {version}; this featx reads version {SCHEMA_VERSION}")
    try:
        return BaselineHeader(**content), tensors
    except ValidationError as error:
        first = error.errors()[0]
        raise FeatxError(
            f"{file}: {first['loc'][0]}: {first['msg']}; make it again with featx baseline"
        ) from error
