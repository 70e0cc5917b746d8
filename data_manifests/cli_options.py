"""The options that commands which make manifests share, and their last two steps: finding the files, and the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.errors import FeatxError, printable

if TYPE_CHECKING:
    from .building.build import Matched
    from .building.entries import Annotations

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


def match_entries(
    read: Annotations,
    to: Path,
    videos: Path | None,
    store: Path | None,
    class_texts: Path | None = None,
    allow_overlap: bool = False,
    one_class: bool = False,
) -> Matched:
    """Gives the entries their files, or the ids of a store.

    Args:
        read: The entries.
        to: The manifest to write.
        videos: Folder of the files.
        store: Feature store, instead of them.
        class_texts: File of other texts for classes.
        allow_overlap: Whether an entry whose file belongs to an earlier one is left out whatever it says.
        one_class: Whether it must be of the same class. In official lists two clips of one video may share a file.

    Raises:
        FeatxError: If neither or both of the two are given, not one entry has a file, or an entry's file belongs to an
            earlier one of another split: what is learned from would be tested on, or be missing from the test.
    """
    from .building.build import match_folder, match_store

    read.classes |= other_texts(class_texts, list(read.classes))
    if videos is not None and store is None:
        matched = match_folder(read, videos, to)
    elif store is not None and videos is None:
        matched = match_store(read, store, to)
    else:
        raise FeatxError("either --videos or --store is needed, not both")
    contradictions = matched.overlaps + (matched.conflicts if one_class else [])
    if contradictions and not allow_overlap:
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
