"""What commands that make manifests share: their options, finding the files, and the report.

A command's parameters are its options, so that there may be many.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featx.completion import one_of
from featx.errors import FeatxError, printable

if TYPE_CHECKING:
    from .building.build import Matched
    from .building.entries import Annotations


class Commands(StrEnum):
    """Headings above the commands on the group's help page."""

    OWN = "Your own videos"
    DATA_SETS = "Data sets"
    AFTERWARDS = "When there is a manifest"


AnnotationsFolder = Annotated[
    Path, typer.Option("--annotations", help="Folder of the official annotation files.")
]
Videos = Annotated[Path | None, typer.Option(help="Folder of the video files, at any depth.")]
Store = Annotated[
    Path | None,
    typer.Option(
        help="Feature store with the videos' features. An alternative to --videos if the video files "
        "are elsewhere."
    ),
]


def _manifest_name(to: Path) -> Path:
    if to.suffix != ".jsonl":
        raise FeatxError(f"--to {to}: must end in .jsonl; featx extract knows a manifest by that")
    return to


To = Annotated[Path, typer.Option("--to", callback=_manifest_name, help="Manifest to write (.jsonl).")]
SplitNumber = Annotated[int, typer.Option(min=1, max=3, help="Number of the official split: 1, 2 or 3.")]
ClassTexts = Annotated[
    Path | None,
    typer.Option(help="JSON file {label: text} with texts for class labels, instead of the data set's own."),
]
Name = Annotated[
    str | None, typer.Option(help="Name of the data set. By default the name of the manifest file.")
]
TextRule = Annotated[
    str,
    typer.Option(
        "--class-text",
        help="How a label becomes a text. underscores: '_' becomes a space. camel-case: the words of "
        "CamelCase are separated. as-is: unchanged.",
        autocompletion=one_of(("underscores", "camel-case", "as-is")),
    ),
]
TestFraction = Annotated[
    float,
    typer.Option(
        min=0.0, max=1.0, help="Fraction of each class that is drawn as the test split, if no split is given."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random draw of the test split.")]
AllowOverlap = Annotated[
    bool,
    typer.Option(
        "--allow-overlap",
        help="If a file stands in two splits or classes, take the first entry. By default this is an error.",
    ),
]


@dataclass(frozen=True)
class MatchOptions:
    """What every command that makes a manifest is told about the video files, beside their annotations.

    Attributes:
        to: The manifest to write.
        videos: Folder of the files.
        store: Feature store, instead of them.
        class_texts: File of other texts for classes.
        allow_overlap: Whether an entry whose file belongs to an earlier one is left out whatever it says.
    """

    to: Path
    videos: Path | None = None
    store: Path | None = None
    class_texts: Path | None = None
    allow_overlap: bool = False


FIRST_OPTIONS = {"to": To, "videos": Videos, "store": Store}
LAST_OPTIONS = {"class_texts": ClassTexts, "allow_overlap": AllowOverlap}


def manifest_command(
    has_classes: bool = True, one_class: bool = False
) -> Callable[[Callable[..., Annotations]], Callable[..., None]]:
    """Makes a command of a function that reads annotations: it gets the shared options, the matching and the report.

    The function's own parameters are the command's own options; one of the name of a shared option gets that as well.

    Args:
        has_classes: Whether the command has ``--class-texts``; videos with captions have no classes.
        one_class: Whether two entries of a file must be of one class. In official lists two clips of one video may share
            a file.
    """

    def decorate(read: Callable[..., Annotations]) -> Callable[..., None]:
        own = inspect.signature(read, eval_str=True).parameters

        def command(**options: Any) -> None:
            shared: dict[str, Any] = {
                field.name: options[field.name] for field in fields(MatchOptions) if field.name in options
            }
            read_with = {name: value for name, value in options.items() if name in own}
            finish(match_entries(read(**read_with), MatchOptions(**shared), one_class))

        last = {name: kind for name, kind in LAST_OPTIONS.items() if has_classes or name != "class_texts"}
        first_own, *other_own = [one for name, one in own.items() if name not in FIRST_OPTIONS]
        parameters = [first_own, *_parameters(FIRST_OPTIONS), *other_own, *_parameters(last)]
        command.__name__, command.__doc__ = read.__name__, read.__doc__
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
        )
        command.__annotations__ = {one.name: one.annotation for one in parameters}
        return command

    return decorate


def _parameters(options: dict[str, Any]) -> list[inspect.Parameter]:
    defaults = {"to": inspect.Parameter.empty, "allow_overlap": False}
    return [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(name), annotation=annotation
        )
        for name, annotation in options.items()
    ]


def match_entries(read: Annotations, options: MatchOptions, one_class: bool = False) -> Matched:
    """Gives the entries their files, or the ids of a store.

    Args:
        read: The entries.
        options: Where the files are, and what becomes of contradictions.
        one_class: Whether an entry whose file belongs to an earlier one must be of the same class.

    Raises:
        FeatxError: If neither or both of the two are given, not one entry has a file, or an entry's file belongs to an
            earlier one of another split: what is learned from would be tested on, or be missing from the test.
    """
    from .building.build import match_folder, match_store

    read.classes |= other_texts(options.class_texts, list(read.classes))
    if options.videos is not None and options.store is None:
        matched = match_folder(read, options.videos, options.to)
    elif options.store is not None and options.videos is None:
        matched = match_store(read, options.store, options.to)
    else:
        raise FeatxError("either --videos or --store is needed, not both")
    contradictions = matched.overlaps + (matched.conflicts if one_class else [])
    if contradictions and not options.allow_overlap:
        first = contradictions[0].replace("\t", ", ")
        raise FeatxError(
            f"{len(contradictions):,} entries contradict earlier ones of the same file: {first}; --allow-overlap takes the "
            "first"
        )
    matched.official, matched.notes = read.official, matched.notes + read.notes
    return matched


def other_texts(file: Path | None, labels: list[str]) -> dict[str, str]:
    """Returns the texts that a user gave for some classes."""
    from .building.names import read_class_texts

    return {} if file is None else read_class_texts(file, labels)


def finish(matched: Matched) -> None:
    """Writes the manifest and prints the report."""
    from .building.build import report, write

    write(matched)
    for line in report(matched):
        typer.echo(printable(line))
