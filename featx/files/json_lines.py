"""JSON Lines files whose first line says what they are: reading them with every problem, not only the first.

The manifest, episodes and class splits are such files: line 1 is the header, every further line is one row.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from featx.errors import FeatxError, nearest
from featx.files.atomic import write_atomically
from featx.files.digest import KEY, NO_DIGEST, check_digest, with_digest
from featx.files.documents import Model, version_problem

AnyHeader = TypeVar("AnyHeader", bound=BaseModel)
AnyRow = TypeVar("AnyRow", bound=BaseModel)


@dataclass(frozen=True)
class Problem:
    """Something wrong in a file; line 0 is the file as a whole."""

    line: int
    message: str
    severity: Literal["error", "warning"] = "error"

    def at(self, file: Path) -> str:
        """Returns the message behind its place, as ``FILE:LINE: message``."""
        return f"{file}:{self.line}: {self.message}" if self.line else f"{file}: {self.message}"


@dataclass
class Lines(Generic[AnyHeader, AnyRow]):
    """What could be read of a file: rows with their line numbers, and what is wrong with the rest."""

    header: AnyHeader | None = None
    rows: list[tuple[int, AnyRow]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def scan_lines(
    file: Path, header: type[AnyHeader], row: type[AnyRow], version: int, what: str, page: str
) -> Lines[AnyHeader, AnyRow]:
    """Reads a file; a line that is wrong becomes a problem, and the next one is read.

    Args:
        file: The file.
        header: Model of line 1; its first field is the schema version, and the file is known by it.
        row: Model of every further line.
        version: The schema version that is read.
        what: What the file is called in messages, such as "manifest".
        page: The documentation of the format.

    Raises:
        FeatxError: If the file cannot be read at all.
    """
    try:
        content = file.read_bytes()
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FeatxError(f"{file}: cannot read the {what} ({error})") from error
    if not lines[0].strip():
        message = f"empty; it must begin with a header line, see {page}"
        return Lines(problems=[Problem(0, message)])
    found: Lines[AnyHeader, AnyRow] = Lines()
    version_field = next(iter(header.model_fields))
    first = _first(lines[0])
    if KEY in first:
        check_digest(
            file, content, f"make it again, or if you changed it yourself take {KEY} out of its first line"
        )
    stated = first.get(version_field)
    if stated is None:
        message = f"line 1 has no '{version_field}', so this is not a {what}; see {page}"
        return Lines(problems=[Problem(1, message)])
    if problem := version_problem(stated, version):
        return Lines(problems=[Problem(0, problem)])
    found.problems += [Problem(1, f"'{key}' stands there twice") for key in _repeated(lines[0])]
    parsed = _parse(header, lines[0], 1, found.problems)
    found.header = parsed
    for number, line in enumerate(lines[1:], start=2):
        if line.strip() and (one := _parse(row, line, number, found.problems)) is not None:
            found.rows.append((number, one))
    return found


def _first(line: str) -> dict[str, object]:
    """Returns the header line; empty if it is no object."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _repeated(line: str) -> list[str]:
    """Returns the keys that an object on a line has twice, of which JSON's readers keep the last."""
    repeated: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> dict[str, object]:
        repeated.extend(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        return dict(pairs)

    json.loads(line, object_pairs_hook=note)
    return repeated


def _parse(model: type[Model], line: str, number: int, problems: list[Problem]) -> Model | None:
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        # an unknown key first: it is most often the misspelt name of one that is said to be missing
        for one in sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden"):
            place = ".".join(str(part) for part in one["loc"])
            known = nearest(place, model.model_fields) if one["type"] == "extra_forbidden" else ""
            problems.append(Problem(number, f"{place + ': ' if place else ''}{one['msg']}{known}"))
        return None


def raise_first(file: Path, problems: list[Problem]) -> None:
    """Raises the first error, saying how many more there are.

    Raises:
        FeatxError: If any problem is an error.
    """
    errors = sorted((one for one in problems if one.severity == "error"), key=lambda one: one.line)
    if errors:
        more = f" (and {len(errors) - 1} more problems)" if len(errors) > 1 else ""
        raise FeatxError(f"{errors[0].at(file)}{more}")


def write_lines(
    file: Path, header: dict[str, object], rows: Iterable[BaseModel], digest: bool = False
) -> None:
    """Writes header and rows, whole or not at all; fields that have their default are left out of rows.

    Args:
        file: The file.
        header: Line 1.
        rows: Every further line.
        digest: Whether line 1 gets the digest of the whole file: for lists that nobody is meant to change by hand.

    Raises:
        FeatxError: If the file cannot be written.
    """
    if digest:
        header = header | {KEY: NO_DIGEST}
    lines = [json.dumps(header, ensure_ascii=False)]
    lines += [json.dumps(row.model_dump(exclude_defaults=True), ensure_ascii=False) for row in rows]
    content = ("\n".join(lines) + "\n").encode()
    try:
        write_atomically(file, with_digest(content) if digest else content)
    except OSError as error:
        raise FeatxError(f"{file}: cannot write it ({error.strerror})") from error
