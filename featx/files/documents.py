"""Files that state a schema version and whose content a pydantic model describes: one check, one kind of message."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from featx.errors import FeatxError

Model = TypeVar("Model", bound=BaseModel)


def version_problem(stated: object, *readable: int) -> str | None:
    """Returns what is wrong with a schema version, or None.

    Args:
        stated: What the file says.
        readable: The versions that this featx reads.
    """
    if stated in readable:
        return None
    plural = "s" if len(readable) > 1 else ""
    return f"schema version {stated}; this featx reads version{plural} {' and '.join(map(str, readable))}"


def check_version(file: object, stated: object, *readable: int) -> None:
    """Refuses a file of another schema version.

    Args:
        file: The file, for the message.
        stated: What it says.
        readable: The versions that this featx reads.

    Raises:
        FeatxError: If it is none of them.
    """
    if problem := version_problem(stated, *readable):
        raise FeatxError(f"{file}: {problem}")


def validate(file: Path, model: type[Model], content: dict[str, Any], way_out: str, part: str = "") -> Model:
    """Returns the content of a file as its model.

    Args:
        file: The file.
        model: What its content must be.
        content: What it is.
        way_out: What helps, for the message.
        part: The part of the file that this is, such as "header"; the whole file if not given.

    Raises:
        FeatxError: With the first thing that is wrong.
    """
    try:
        return model(**content)
    except ValidationError as error:
        where = f"{file}: {part}" if part else str(file)
        raise FeatxError(f"{where}: {first_problem(error)}; {way_out}") from error


def first_problem(error: ValidationError) -> str:
    """Returns the first thing that pydantic found wrong, behind its place: ``fingerprint.width: Field required``."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]
