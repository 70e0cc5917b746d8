"""Files of what is learned: safetensors with the learned tensors, and a JSON header that says what they belong to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from featx.errors import FeatxError
from featx.files import write_atomically

AnyHeader = TypeVar("AnyHeader", bound=BaseModel)


def write_learned(file: Path, module: nn.Module, header: BaseModel) -> None:
    """Writes a module's tensors and its header, whole or not at all."""
    from safetensors.torch import save

    tensors = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    write_atomically(file, save(tensors, metadata={"featx": header.model_dump_json()}))


def kind_of(file: Path) -> str:
    """Returns the key of the schema version in a file's header, such as ``featx_adapter``; empty if it has none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as opened:
            content = json.loads((opened.metadata() or {}).get("featx", "{}"))
    except (OSError, SafetensorError):
        return ""
    return next((key for key in content if key.startswith("featx_")), "")


def read_learned_header(
    file: Path, model: type[AnyHeader], version_key: str, version: int, what: str, made_with: str
) -> AnyHeader:
    """Reads the header of a file.

    Args:
        file: The file.
        model: Of the header.
        version_key: Its schema version, by which the kind of file is known.
        version: The one that is read.
        what: What the file is called in messages, such as "adapter".
        made_with: The command that makes one.

    Raises:
        FeatxError: If the file is missing, or another kind of file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as opened:
            metadata = opened.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise FeatxError(f"{file}: cannot read the {what} ({error}); make one with {made_with}") from error
    content = json.loads(metadata.get("featx", "{}"))
    if version_key not in content:
        article = "an" if what[0] in "aeiou" else "a"
        raise FeatxError(
            f"{file}: a safetensors file, but not {article} {what} of featx; make one with {made_with}"
        )
    if content[version_key] != version:
        raise FeatxError(f"{file}: schema version {content[version_key]}; this featx reads version {version}")
    try:
        return model(**content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise FeatxError(
            f"{file}: header: {place}: {first['msg']}; another version of featx made it: make it again with {made_with}"
        ) from error


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Reads the tensors of a file."""
    from safetensors.torch import load_file

    return load_file(str(file))


def give_tensors(file: Path, module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Gives a module the tensors of its file.

    Raises:
        FeatxError: If they do not fit.
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise FeatxError(f"{file}: its tensors do not fit its header ({error})") from error
