"""Reading a JSON file of somebody's: a byte-order mark is no part of it, and no key may stand twice in one object."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from featx.errors import FeatxError


def read_plain_json(file: Path, flag: str = "") -> Any:
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
        return json.loads(text, object_pairs_hook=_once(place))
    except (OSError, ValueError, RecursionError) as error:
        raise FeatxError(f"{place}: cannot read it as JSON ({error})") from error


def read_plain_object(file: Path, flag: str = "") -> dict[str, Any]:
    """Reads a JSON file that must hold one object.

    Raises:
        FeatxError: As `read_plain_json`, or if it holds something else.
    """
    content = read_plain_json(file, flag)
    if not isinstance(content, dict):
        raise FeatxError(f"{flag} {file}".strip() + ": must be one JSON object")
    return content


def _once(place: str) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    def build(
        pairs: list[tuple[str, Any]],
    ) -> dict[str, Any]:  # of every object: some files hold half a million
        built = dict(pairs)
        if len(built) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise FeatxError(f"{place}: '{twice}' stands twice in one object")
        return built

    return build
