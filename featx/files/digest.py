"""A digest in the files that featx writes once and believes later, so that no byte of them changes unnoticed.

JSON, JSON Lines and the header of safetensors all have a place for ``"sha256": "…"``. It holds the sha256 of the whole
file, computed with 64 zeros in that place: one rule for every format, and nothing of a file is left out.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.files.atomic import write_atomically
from featx.output.console import warn

KEY = "sha256"
NO_DIGEST = "0" * 64
_PLACE = re.compile(rb'"sha256": "([0-9a-f]{64})"')


def with_digest(content: bytes) -> bytes:
    """Fills the digest into the content of a file, whose first ``"sha256"`` is `NO_DIGEST`."""
    place = _PLACE.search(content)
    assert place is not None and place[1] == NO_DIGEST.encode()
    return _filled(content, place, hashlib.sha256(content).hexdigest())


def check_digest(file: Path, content: bytes, way_out: str) -> None:
    """Refuses content that is not what `with_digest` returned.

    Args:
        file: That it was read from.
        content: All of it.
        way_out: What helps, for the message.

    Raises:
        FeatxError: If any byte of it is another one.
    """
    place = _PLACE.search(content)
    if place is not None:
        written = _filled(content, place, NO_DIGEST)
        if hashlib.sha256(written).hexdigest().encode() == place[1]:
            return
    raise FeatxError(f"{file}: damaged, or changed since it was written (its digest is wrong); {way_out}")


def write_json(file: Path, content: dict[str, Any], indent: int | None = None) -> None:
    """Writes an object with its digest, whole or not at all."""
    write_atomically(file, json_with_digest(content, indent))


def json_with_digest(content: dict[str, Any], indent: int | None = None) -> bytes:
    """Returns an object as JSON with its digest."""
    text = json.dumps({KEY: NO_DIGEST, **content}, indent=indent, ensure_ascii=False, allow_nan=False)
    return with_digest(text.encode() + b"\n")


def read_json(file: Path, way_out: str) -> dict[str, Any]:
    """Reads what `write_json` wrote; a file without a digest, of a featx of before, is accepted with a note.

    Raises:
        FeatxError: If it cannot be read, or is not as it was written.
    """
    try:
        text = file.read_bytes()
        content = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not JSON: {error}"
        raise FeatxError(f"{file}: cannot read it ({reason}); {way_out}") from error
    if not isinstance(content, dict):
        raise FeatxError(f"{file}: not a JSON object; {way_out}")
    if KEY in content:
        check_digest(file, text, way_out)
    if content.pop(KEY, None) is None:
        note_without(file)
    return content


@cache
def note_without(file: Path) -> None:
    """Says once that nobody can tell whether a file is as it was written."""
    warn(f"{file}: has no digest (an earlier featx wrote it), so damage would go unseen")


def _filled(content: bytes, place: re.Match[bytes], digest: str) -> bytes:
    return content[: place.start(1)] + digest.encode() + content[place.end(1) :]
