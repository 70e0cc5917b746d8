"""Reading a checkpoint file in OpenAI's layout, and whether it says that it is OpenAI's: QuickGELU is in no tensor.

open_clip writes the same layout for models that were trained with GELU. Computed with QuickGELU they give features that
look right and are not, so a file that does not say what it is has to be named by its user.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.encoders.open_clip_names import name_for
from featx.errors import FeatxError

if TYPE_CHECKING:
    import torch

# What OpenAI's archives hold beside the weights; a state dict taken from one has them, one of open_clip has not.
OPENAI_MARKS = {"input_resolution", "context_length", "vocab_size"}


@dataclass(frozen=True)
class Checkpoint:
    """The content of a file.

    Attributes:
        state: Tensors by name, in OpenAI's layout.
        activation: `quickgelu` or `gelu` if the file says so, else None.
    """

    state: dict[str, torch.Tensor]
    activation: str | None


def read_checkpoint(file: Path, said: str) -> Checkpoint:
    """Reads a JIT archive or a state dict.

    Args:
        file: The file.
        said: The option as the user gave it, for messages.

    Raises:
        FeatxError: If it is neither, or a training checkpoint that does not name its architecture.
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch calls its archives deprecated
            archive = torch.jit.load(str(file), map_location="cpu")
    except RuntimeError:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
            raise FeatxError(not_a_checkpoint(said, error)) from error
        if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
            raise FeatxError(
                f"{said}: a training checkpoint of open_clip (it holds 'state_dict'), which does not name its architecture; "
                f"give --model {name_for(without_prefix(content['state_dict']), file)}"
            ) from None
        if not isinstance(content, Mapping):
            raise FeatxError(not_a_checkpoint(said, f"it holds a {type(content).__name__}")) from None
        return Checkpoint(dict(content), "quickgelu" if content.keys() >= OPENAI_MARKS else None)
    return Checkpoint(archive.state_dict(), _activation_of(archive))


def without_prefix(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns a state dict without what training on several GPUs puts before each name."""
    return {name.removeprefix("module."): value for name, value in state.items()}


def not_a_checkpoint(said: str, why: object) -> str:
    """Returns the message for a file that holds something else."""
    first_line = (str(why).splitlines() or [type(why).__name__])[0]
    return f"{said}: not a CLIP checkpoint in OpenAI's layout ({first_line})"


def _activation_of(archive: Any) -> str | None:
    """Returns what the archive computes, which it holds as code: the class of its activations by name."""
    classes = {getattr(module, "original_name", "") for module in archive.modules()}
    if "QuickGELU" in classes:
        return "quickgelu"
    return "gelu" if "GELU" in classes else None
