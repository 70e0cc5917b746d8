"""What an adapter keeps of a temporal model that is not featx's own; without torch, because settings hold parts of it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from featx.errors import FeatxError

OptionValue = StrictBool | StrictInt | StrictFloat | StrictStr | None
NOT_JSON = {"True": "true", "False": "false", "None": "null"}  # as Python writes what JSON writes otherwise
NUMBER_LIKE = re.compile(r"[-+.]?\d[\d._eE+-]*$|NaN$|-?Infinity$|[-+]?(nan|inf)$")


class ModelCode(BaseModel):
    """A module that stands in the place of the temporal Transformer, with everything that is needed to make it again.

    Attributes:
        reference: As it was given: ``my_model.py:MyTemporal``, ``package.module:MyTemporal``, or the name of an entry point.
        name: The class.
        file: Where its source was.
        sha256: Of the source.
        source: The text of that file. It is kept so that a lost file can be written again, and never run from here.
        options: Keyword arguments of the class.
    """

    model_config = ConfigDict(extra="forbid")

    reference: str
    name: str
    file: str
    sha256: str
    source: str
    options: dict[str, OptionValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_of_its_source(self) -> ModelCode:
        if hashlib.sha256(self.source.encode()).hexdigest() != self.sha256:
            raise ValueError("sha256 is not that of source")
        return self

    @property
    def label(self) -> str:
        """The reference without folders, for tables and messages."""
        return label_of(self.reference)

    @property
    def identity(self) -> str:
        """What must be the same for a run to be the same; options are settings, and where the file lies may change."""
        return f"{self.name} of sha256 {self.sha256}"


def label_of(reference: str) -> str:
    """Returns a reference without folders: ``my_model.py:MyTemporal``."""
    return Path(reference).name


def parse_options(words: list[str], flag: str) -> dict[str, Any]:
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


def _value(text: str, said: str) -> OptionValue:
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
    scalar: OptionValue = value
    return scalar
