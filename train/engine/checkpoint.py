"""Checkpoints: everything that a run needs to go on as if it had never stopped.

A checkpoint is one safetensors file, ``checkpoints/step-00000400.DIGEST.safetensors``: the tensors, and a JSON record
as metadata. Its name carries the beginning of its own sha256, so that damage of any byte is seen; it is written
whole or not at all. The newest two are kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from featx.errors import FeatxError
from featx.files.atomic import write_atomically

FOLDER = "checkpoints"
SCHEMA_VERSION = 1
KEPT = 2
DIGEST_LETTERS = 16
STEP_LETTERS = len("step-00000000")


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint: ``record`` is what JSON can hold."""

    record: dict[str, Any]
    tensors: dict[str, Tensor]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Returns the tensors whose names begin with ``prefix.``, without it."""
        return {
            name.removeprefix(f"{prefix}."): value
            for name, value in self.tensors.items()
            if name.startswith(f"{prefix}.")
        }


class Checkpoints:
    """The checkpoints of a run."""

    def __init__(self, run: Path) -> None:
        self.folder = run / FOLDER

    def files(self) -> list[Path]:
        """Returns the checkpoint files, the newest first."""
        return sorted(self.folder.glob("step-*.safetensors"), reverse=True)

    def save(self, step: int, checkpoint: Checkpoint) -> Path:
        """Writes the checkpoint of a step, then removes all but the newest `KEPT`."""
        from safetensors.torch import save

        record = {"featx_checkpoint": SCHEMA_VERSION, **checkpoint.record}
        tensors = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()}
        content = save(tensors, metadata={"featx": json.dumps(record)})
        file = self.folder / f"step-{step:08d}.{_digest(content)}.safetensors"
        write_atomically(file, content)
        for other in self.files():  # a run that went on from an older one writes its later steps again
            if other != file and other.name[:STEP_LETTERS] >= file.name[:STEP_LETTERS]:
                other.unlink()
        for old in self.files()[KEPT:]:
            old.unlink()
        return file

    def newest(self, say: Callable[[str], None]) -> Checkpoint | None:
        """Reads the newest checkpoint that is whole; a damaged one is said, removed, and the one before is taken.

        Raises:
            FeatxError: If the newest was written by another version of featx.
        """
        for file in self.files():
            checkpoint = read_checkpoint(file)
            if checkpoint is not None:
                return checkpoint
            file.unlink()
            say(f"{file}: damaged, removed; going on from the checkpoint before it, or from the start")
        return None

    def keep_newest(self) -> None:
        """Removes all but the newest."""
        for old in self.files()[1:]:
            old.unlink()

    def clear(self) -> None:
        """Removes all checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)


def read_checkpoint(file: Path) -> Checkpoint | None:
    """Reads a checkpoint; None if its bytes are not those that were written.

    Raises:
        FeatxError: If it cannot be read, or was written by another version of featx.
    """
    from safetensors.torch import load

    try:
        content = file.read_bytes()
    except OSError as error:
        raise FeatxError(
            f"{file}: cannot read the checkpoint ({error.strerror}); or start over with --fresh"
        ) from error
    if _digest(content) != file.name.split(".")[1]:
        return None
    header_bytes = int.from_bytes(content[:8], "little")
    record = json.loads(json.loads(content[8 : 8 + header_bytes])["__metadata__"]["featx"])
    version = record.pop("featx_checkpoint")
    if version != SCHEMA_VERSION:
        raise FeatxError(
            f"{file}: checkpoint version {version}, this featx reads version {SCHEMA_VERSION}; start over with --fresh"
        )
    return Checkpoint(record, load(content))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGEST_LETTERS]


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Returns an optimiser's state as ``{parameter}.{name}`` tensors; rates are settings, not state."""
    return {
        f"{parameter}.{name}": value
        for parameter, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Gives an optimiser the state that `optimiser_tensors` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        parameter, name = key.split(".")
        state.setdefault(int(parameter), {})[name] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
