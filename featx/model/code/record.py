"""What an adapter keeps of a temporal model that is not featx's own; without torch, because settings hold parts of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

OptionValue = StrictBool | StrictInt | StrictFloat | StrictStr | None


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
