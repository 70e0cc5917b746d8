"""Settings that are tables of names and values, as they are typed: ``hidden=64``."""

from __future__ import annotations

import json
import re
from typing import Any

from featx.errors import FeatxError

NOT_JSON = {"True": "true", "False": "false", "None": "null"}  # as Python writes what JSON writes otherwise
NUMBER_LIKE = re.compile(r"[-+.]?\d[\d._eE+-]*$|NaN$|-?Infinity$|[-+]?(nan|inf)$")


def parse_named_values(words: list[str], flag: str) -> dict[str, Any]:
    """Reads ``name=value`` words, whose values are JSON scalars; a bare word is text.

    Args:
        words: Such as ``hidden=64``, ``dropout=0.1``, ``bidirectional=true``, ``pool=mean``.
        flag: The option that they were given with, for messages.

    Raises:
        FeatxError: Naming the word that is none, is given twice, or looks like a number or a constant and is not JSON.
    """
    options: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise FeatxError(f"{flag} {word}: must be name=value, such as hidden=64")
        if name in options:
            raise FeatxError(f"{flag} {word}: {name} is given twice")
        options[name] = _value(text, f"{flag} {word}")
    return options


def _value(text: str, said: str) -> Any:
    if text in NOT_JSON:
        raise FeatxError(f"{said}: values are JSON; write {NOT_JSON[text]}, or '\"{text}\"' for text")
    try:
        value = json.loads(text, parse_constant=float)
    except ValueError:
        if NUMBER_LIKE.match(text):
            raise FeatxError(f"{said}: {text} is no number of JSON; for text write '\"{text}\"'") from None
        return text
    if isinstance(value, (dict, list)) or value != value or value in (float("inf"), -float("inf")):
        raise FeatxError(f"{said}: must be a number, text, true, false or null")
    return value
