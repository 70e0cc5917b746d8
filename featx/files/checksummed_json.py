"""JSON files that carry a checksum of themselves, so that no byte of them changes unnoticed.

The last member of the object is ``sha256``: of all bytes of the file before the comma in front of it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from featx.errors import FeatxError

_BEFORE, _AFTER = b',\n"sha256": "', b'"\n}\n'
_TAIL_BYTES = len(_BEFORE) + 64 + len(_AFTER)


class Damaged(FeatxError):
    """Something in a store is not as it was written, or is gone."""


def dump_checksummed(content: dict[str, Any]) -> bytes:
    """Returns a non-empty object as JSON with its checksum: a line a member."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    body = ("{\n" + ",\n".join(lines)).encode()
    return body + _tail(body)


def read_checksummed(file: Path) -> dict[str, Any]:
    """Reads what `dump_checksummed` made.

    Raises:
        OSError: If the file cannot be read.
        Damaged: If any byte of it is not as it was written.
    """
    return parse_checksummed(file.read_bytes(), file)


def parse_checksummed(content: bytes, file: object) -> dict[str, Any]:
    """Parses what `dump_checksummed` made.

    Args:
        content: The bytes.
        file: Where they come from, for messages.

    Raises:
        Damaged: If any byte of it is not as it was written.
    """
    body = content[:-_TAIL_BYTES]
    if content[-_TAIL_BYTES:] != _tail(body):
        raise Damaged(f"{file}: damaged (its checksum is wrong)")
    try:
        members: dict[str, Any] = json.loads(body + b"}")
        return members
    except ValueError as error:
        raise Damaged(f"{file}: not JSON ({error})") from error


def checksum_in(file: Path) -> str:
    """Returns the checksum that stands in a file, without reading the rest: whether this is the same file as before.

    Raises:
        OSError: If the file cannot be read.
    """
    with file.open("rb") as stream:
        stream.seek(-_TAIL_BYTES, 2)
        return stream.read()[len(_BEFORE) : -len(_AFTER)].decode("ascii", "replace")


def _tail(body: bytes) -> bytes:
    return _BEFORE + hashlib.sha256(body).hexdigest().encode() + _AFTER
