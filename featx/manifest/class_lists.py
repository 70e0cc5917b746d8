"""Choosing classes by files: one of the splits of a class-splits file, or a text file with one class a line."""

from __future__ import annotations

import html
from pathlib import Path

from featx.errors import FeatxError, nearest
from featx.files.atomic import read_list
from featx.manifest.episodes import ClassSplit, read_class_splits
from featx.manifest.videos import Manifest


def as_read(text: str) -> str:
    """Returns a class text as CLIP's tokenizer reads it: neither case nor the number of blanks counts."""
    return " ".join(html.unescape(html.unescape(text)).lower().split())


def read_class_names(file: Path, flag: str, texts: dict[str, str] | None = None) -> dict[str, str]:
    """Reads the names of classes, one a line, that need not be anybody's.

    Args:
        file: The file.
        flag: The option that names it, for messages.
        texts: Label to text of known classes: a label stands for its text.

    Returns:
        Each line and the text that stands for it.

    Raises:
        FeatxError: With file and line, if two lines name the same class: their probabilities would be halves of one.
    """
    classes: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, name in read_list(file, flag, "class").items():
        text = (texts or {}).get(name, name)
        if first := lines.get(as_read(text)):
            raise FeatxError(
                f"{file}:{number}: class '{name}' is that of line {first} again; leave one of them out"
            )
        lines[as_read(text)] = number
        classes[name] = text
    return classes


def named_class_split(file: Path, name: str | None, manifest: Manifest) -> ClassSplit:
    """Returns a split of a class-splits file.

    Args:
        file: The file.
        name: Of the split; None if the file holds one only.
        manifest: That it belongs to.

    Raises:
        FeatxError: If the file does not fit the manifest, or does not say which split is meant.
    """
    splits = {split.name: split for split in read_class_splits(file, manifest).splits}
    if name is None and len(splits) > 1:
        some = ", ".join(list(splits)[:5])
        raise FeatxError(
            f"--class-split {file}: holds {len(splits)}; choose one with --class-split-name ({some}, …)"
        )
    chosen = name or next(iter(splits))
    if chosen not in splits:
        raise FeatxError(f"--class-split-name {name}: not in {file}{nearest(chosen, splits)}")
    return splits[chosen]


def read_labels(file: Path, manifest: Manifest, flag: str) -> list[str]:
    """Reads a list of classes, one a line, each as its label or its text.

    Raises:
        FeatxError: With file and line, for a class that the manifest lacks.
    """
    by_text = {text: label for label, text in manifest.header.classes.items()}
    labels: dict[str, None] = {}
    for number, name in read_list(file, flag, "class").items():
        label = name if name in manifest.header.classes else by_text.get(name)
        if label is None:
            hint = nearest(name, [*manifest.header.classes, *by_text])
            raise FeatxError(f"{file}:{number}: class '{name}' is not in {manifest.file}{hint}")
        labels[label] = None
    return list(labels)
