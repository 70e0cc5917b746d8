"""Asking before the code that an adapter was trained with is run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from featx.errors import FeatxError, printable
from featx.model.code.record import ModelCode
from featx.model.code.source import CodeSource, find_source, read_source
from featx.output.audience import calling_program

VARIABLE = "FEATX_TRUST_CODE"  # hashes or paths, with commas
FLAG = "--trust-code"


def find_trusted(record: ModelCode, adapter_file: Path, trust_code: bool) -> CodeSource:
    """Finds the code of an adapter, compares it with what the adapter recorded, and asks whether it may run.

    Args:
        record: Of the adapter.
        adapter_file: Its file.
        trust_code: Whether the user has agreed already.

    Raises:
        FeatxError: If the code is not there, is not what the adapter was trained with, or may not run.
    """
    source = _find(record, adapter_file)
    if not (trust_code or _trusted_by_environment(source)):
        _ask(record, source, adapter_file)
    return source


def _find(record: ModelCode, adapter_file: Path) -> CodeSource:
    """Returns the code with the recorded hash: of its installed module, or where its file was, or beside the adapter.

    Raises:
        FeatxError: If there is none, or only another one.
    """
    what = f"{adapter_file}: was trained with {record.label}"
    place = record.reference.rpartition(":")[0]
    if not place.endswith(".py"):
        found = [find_source(record.reference, f"{what}: model code")]
    else:
        name = Path(place).name
        places = [Path(record.file), Path(place), adapter_file.parent / name, *_listed_paths()]
        found = [
            read_source(file, record.reference, record.name, what)
            for file in dict.fromkeys(places)
            if file.is_file()
        ]
    for source in found:
        if source.sha256 == record.sha256:
            return source
    lost = f"the adapter holds its text: featx adapter code {adapter_file} --to FILE"
    if not found:
        raise FeatxError(
            f"{what}, and there is no {record.file} and no {adapter_file.parent / name}; put it there ({lost})"
        )
    raise FeatxError(
        f"{what} of sha256 {record.sha256}, and {found[0].file} is now another (sha256 {found[0].sha256}); train again with "
        f"it, or give back what it was ({lost})"
    )


def _listed() -> list[str]:
    return [word.strip() for word in os.environ.get(VARIABLE, "").split(",") if word.strip()]


def _listed_paths() -> list[Path]:
    return [Path(word).expanduser() for word in _listed() if word.endswith(".py")]


def _trusted_by_environment(source: CodeSource) -> bool:
    return source.sha256 in _listed() or source.file in [file.resolve() for file in _listed_paths()]


def _ask(record: ModelCode, source: CodeSource, adapter_file: Path) -> None:
    what = f"{adapter_file}: was trained with code that is not featx's: {record.label}"
    if calling_program() or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise FeatxError(
            f"{what} ({source.file}, sha256 {source.sha256}); read it, then allow it with {FLAG}, or with "
            f"{VARIABLE}={source.sha256} in the environment"
        )
    lines = [
        what,
        f"  file    {source.file}",
        f"  sha256  {source.sha256}",
    ]  # the adapter's words may be anybody's
    print("\n".join(map(printable, lines)), file=sys.stderr)
    print("Run this code? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise FeatxError(f"{what}; it was not run")
