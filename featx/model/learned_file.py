"""Files of what is learned: safetensors with the learned tensors, and a JSON header that says what they belong to.

The file carries a digest of itself (`featx.files.digest`) in the metadata entry ``sha256``, beside the header, ``featx``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from torch import Tensor, nn

from featx.errors import FeatxError
from featx.files.atomic import write_atomically
from featx.files.digest import KEY, NO_DIGEST, check_digest, note_without, with_digest
from featx.files.documents import check_version, validate

AnyHeader = TypeVar("AnyHeader", bound=BaseModel)
METADATA = "__metadata__"
LENGTH_BYTES = 8  # of the number in front of the JSON that a safetensors file begins with


def write_learned(file: Path, tensors: Mapping[str, Tensor], header: BaseModel) -> None:
    """Writes tensors and their header, whole or not at all."""
    from safetensors.torch import save

    content = save(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
        metadata={"featx": header.model_dump_json()},
    )
    write_atomically(file, _with_digest(content))


def _with_digest(content: bytes) -> bytes:
    described = _described(content)
    described[METADATA][KEY] = NO_DIGEST  # safetensors would write two entries in an order that varies
    text = json.dumps(described, ensure_ascii=False).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    data = content[LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little") :]
    return with_digest(len(text).to_bytes(LENGTH_BYTES, "little") + text + data)


def _described(content: bytes) -> dict[str, Any]:
    """Returns the JSON that a safetensors file begins with.

    Raises:
        ValueError: If it is not one.
    """
    described = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + int.from_bytes(content[:8], "little")])
    if not isinstance(described, dict) or not isinstance(described.get(METADATA, {}), dict):
        raise ValueError("no safetensors header")
    return described


def kind_of(file: Path) -> str:
    """Returns the key of the schema version in a file's header, such as ``featx_adapter``; empty if it has none."""
    try:
        content = json.loads(_described(file.read_bytes())[METADATA]["featx"])
        return next((key for key in content if key.startswith("featx_")), "")
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


@dataclass(frozen=True)
class FileKind(Generic[AnyHeader]):
    """A kind of file of what is learned.

    Attributes:
        header: Model of its header.
        version_key: Entry of the header by which the kind of file is known; its schema version.
        versions: The schema versions that are read.
        name: What the file is called in messages, such as "adapter".
        made_with: The command that makes one.
    """

    header: type[AnyHeader]
    version_key: str
    versions: tuple[int, ...]
    name: str
    made_with: str


def read_learned(file: Path, kind: FileKind[AnyHeader]) -> tuple[AnyHeader, dict[str, Tensor]]:
    """Reads a file; one without a digest, of a featx of before, is accepted with a note.

    Returns:
        Its header, and its tensors, all of whose values are finite.

    Raises:
        FeatxError: If the file is missing, another kind of file, or not as it was written.
    """
    way_out = f"make {'it again' if file.exists() else 'one'} with {kind.made_with}"
    try:
        content = file.read_bytes()
        metadata = _described(content).get(METADATA, {})
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a safetensors file, or damaged"
        raise FeatxError(f"{file}: cannot read the {kind.name} ({reason}); {way_out}") from error
    article = "an" if kind.name[0] in "aeiou" else "a"
    foreign = FeatxError(f"{file}: a safetensors file, but not {article} {kind.name} of featx; {way_out}")
    if "featx" not in metadata:
        raise foreign
    if set(metadata) != {"featx"}:  # whatever else stands there was the digest
        check_digest(file, content, way_out)
    else:
        note_without(file)
    header = _header(file, metadata["featx"], kind, foreign, way_out)
    return header, _tensors(file, content, kind.name, way_out)


def _header(file: Path, text: str, kind: FileKind[AnyHeader], foreign: FeatxError, way_out: str) -> AnyHeader:
    try:
        content = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise FeatxError(f"{file}: its header is not JSON ({error}); {way_out}") from error
    if not isinstance(content, dict) or kind.version_key not in content:
        raise foreign
    check_version(file, content[kind.version_key], *kind.versions)
    return validate(file, kind.header, content, f"another version of featx made it: {way_out}", "header")


def _tensors(file: Path, content: bytes, what: str, way_out: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise FeatxError(f"{file}: cannot read the {what}'s tensors ({error}); {way_out}") from error
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise FeatxError(f"{file}: tensor {name} holds values that are not finite numbers; {way_out}")
    return tensors


def give_tensors(file: Path, module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Gives a module the tensors of its file.

    Raises:
        FeatxError: If they do not fit.
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise FeatxError(f"{file}: its tensors do not fit its header ({error})") from error


def check_settings(file: Path, settings: Mapping[str, Any], needed: Mapping[str, type], way_out: str) -> None:
    """Refuses a header without settings that its reader computes with.

    Args:
        file: The file.
        settings: That its header holds.
        needed: Name to type.
        way_out: What helps, for the message.

    Raises:
        FeatxError: Naming the first that is missing, or of another type.
    """
    for name, kind in needed.items():
        if not isinstance(settings.get(name), kind):
            raise FeatxError(f"{file}: its header lacks the setting {name}; {way_out}")
