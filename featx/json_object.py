"""Reading a JSON file of somebody's: a byte-order mark is no part of it, and no key may stand twice in one object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from featx.errors import FeatxError


def read_json(file: Path, flag: str = "") -> Any:
    """Reads a JSON file.

    Args:
        file: The file.
        flag: The option that names it, for messages.

    Raises:
        FeatxError: If it cannot be read or is empty, or a key stands twice in one object, of which one would be lost.
    """
    place = f"{flag} {file}".strip()
    try:
        text = file.read_text(encoding="utf-8-sig")
        if not text.strip():
            raise FeatxError(f"{place}: empty")
        return json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, place))
    except (OSError, ValueError, RecursionError) as error:
        raise FeatxError(f"{place}: cannot read it as JSON ({error})") from error


def read_json_object(file: Path, flag: str = "") -> dict[str, Any]:
    """Reads a JSON file that must hold one object.

    Raises:
        FeatxError: As `read_json`, or if it holds something else.
    """
    content = read_json(file, flag)
    if not isinstance(content, dict):
        raise FeatxError(f"{flag} {file}".strip() + ": must be one JSON object")
    return content


def _once(pairs: list[tuple[str, Any]], place: str) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise FeatxError(f"{place}: '{twice}' stands twice in one object")
    return built
