"""Where the source of a temporal model is: a file, a module that is installed, or an entry point. Nothing is run here."""

from __future__ import annotations

import hashlib
import importlib.machinery
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from featx.errors import FeatxError, nearest

ENTRY_POINTS = "featx.temporal_models"
FORMS = (
    "a file and its class (my_model.py:MyTemporal), package.module:MyTemporal, or the name of an entry point"
)


@dataclass(frozen=True)
class CodeSource:
    """The source of a class, read once: what is run is what was hashed.

    Attributes:
        reference: As it was given.
        name: The class.
        file: Where the source is.
        content: The source.
        module: Name to import it by; None for a file of its own.
    """

    reference: str
    name: str
    file: Path
    content: bytes
    module: str | None = None

    @property
    def sha256(self) -> str:
        """Of the source."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def text(self) -> str:
        """The source as text."""
        return self.content.decode()


def find_source(reference: str, flag: str = "--model-code") -> CodeSource:
    """Reads the source that a reference means.

    Args:
        reference: ``my_model.py:MyTemporal``, ``package.module:MyTemporal``, or the name of an entry point of the group
            ``featx.temporal_models``.
        flag: That names it, for messages.

    Raises:
        FeatxError: If there is no such file, module or entry point.
    """
    said = f"{flag} {reference}"
    if ":" not in reference:
        if reference.endswith(".py"):
            raise FeatxError(f"{said}: say which class of the file: {reference}:MyTemporal")
        target = _entry_point(reference, said)
        module, _, name = target.partition(":")
        return _of_module(reference, module, name, said)
    place, _, name = reference.rpartition(":")
    if not name.isidentifier() or not place:
        raise FeatxError(f"{said}: must be {FORMS}")
    if place.endswith(".py"):
        return read_source(Path(place), reference, name, said)
    if not all(part.isidentifier() for part in place.split(".")):
        raise FeatxError(f"{said}: must be {FORMS}")
    return _of_module(reference, place, name, said)


def read_source(file: Path, reference: str, name: str, said: str, module: str | None = None) -> CodeSource:
    """Reads a file.

    Raises:
        FeatxError: If it cannot be read, or is not UTF-8.
    """
    try:
        content = file.expanduser().read_bytes()
        content.decode()
    except OSError as error:
        raise FeatxError(f"{said}: cannot read {file} ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise FeatxError(f"{said}: {file} is not UTF-8; save it as that") from error
    return CodeSource(reference, name, file.expanduser().resolve(), content, module)


def _entry_point(name: str, said: str) -> str:
    group = metadata.entry_points(group=ENTRY_POINTS)
    found = {one.value for one in group if one.name == name}
    if len(found) > 1:
        raise FeatxError(
            f"{said}: several packages have that entry point ({', '.join(sorted(found))}); name one of these"
        )
    if not found:
        known = sorted({one.name for one in group})
        hint = nearest(name, known) or (f"; there are {', '.join(known)}" if known else f"; give {FORMS}")
        raise FeatxError(
            f"{said}: no installed package has such an entry point in the group {ENTRY_POINTS}{hint}"
        )
    return found.pop()


def _of_module(reference: str, module: str, name: str, said: str) -> CodeSource:
    spec = _find_spec(module)
    if spec is None:
        raise FeatxError(
            f"{said}: no module {module} is installed; for a file give its path: my_model.py:{name}"
        )
    if not spec.origin or not spec.origin.endswith(".py"):
        raise FeatxError(f"{said}: module {module} has no source in Python, so that it cannot be recorded")
    return read_source(Path(spec.origin), reference, name, said, module)


def _find_spec(module: str) -> importlib.machinery.ModuleSpec | None:
    """Finds a module as an import does, but without running the packages that it is in."""
    spec: importlib.machinery.ModuleSpec | None = None
    folders: Sequence[str] | None = None
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        name = ".".join(parts[:count])
        finders = (finder for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((found for one in finders if (found := one.find_spec(name, folders, None))), None)
        folders = spec.submodule_search_locations if spec else None
        if spec is None or (folders is None and count < len(parts)):
            return None
    return spec
