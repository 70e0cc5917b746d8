"""Names of classes: their spellings in folders and lists, and the texts that CLIP reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from featx.errors import FeatxError, nearest
from featx.files.plain_json import read_plain_json


def spelling(name: str) -> str:
    """Returns what is left of a class name when case, underscores and repeated spaces are no difference."""
    return " ".join(name.replace("_", " ").split()).casefold()


def underscores_to_spaces(label: str) -> str:
    """`climb_stairs` is read as "climb stairs"."""
    return " ".join(label.replace("_", " ").split())


def split_camel_case(label: str) -> str:
    """`ApplyEyeMakeup` is read as "Apply Eye Makeup"; a run of capitals (`BMX`) stays together."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", underscores_to_spaces(label))


TEXT_RULES: dict[str, Callable[[str], str]] = {
    "underscores": underscores_to_spaces,
    "camel-case": split_camel_case,
    "as-is": lambda label: label,
}


def class_texts(labels: Iterable[str], rule: str, exceptions: dict[str, str]) -> dict[str, str]:
    """Returns label to text, in the order of the labels.

    Args:
        labels: Class labels.
        rule: One of `TEXT_RULES`.
        exceptions: Texts that do not follow the rule, by label.

    Raises:
        FeatxError: If there is no such rule.
    """
    if rule not in TEXT_RULES:
        raise FeatxError(f"--class-text {rule}: must be one of {', '.join(TEXT_RULES)}")
    return {label: exceptions.get(label) or TEXT_RULES[rule](label) for label in labels}


def read_class_texts(file: Path, labels: Iterable[str]) -> dict[str, str]:
    """Reads texts for classes from a JSON object of label to text.

    Raises:
        FeatxError: If it is no such file, or names a class that there is not.
    """
    texts = read_plain_json(file, "--class-texts")
    if not isinstance(texts, dict) or not all(isinstance(text, str) and text for text in texts.values()):
        raise FeatxError(f'--class-texts {file}: must be one object, {{"label": "text", …}}')
    known = list(labels)
    for label in texts:
        if label not in known:
            raise FeatxError(f"--class-texts {file}: no class '{label}'{nearest(label, known)}")
    return texts


class LabelFinder:
    """Finds the label that a name in somebody's list means: exactly, by its spelling, or by its text."""

    def __init__(self, classes: dict[str, str]) -> None:
        """Takes label to text, as a manifest's header has them."""
        self._labels = set(classes)
        self._by_spelling: dict[str, set[str]] = {}
        for label, text in classes.items():
            for name in {spelling(label), spelling(text)}:
                self._by_spelling.setdefault(name, set()).add(label)

    def find(self, name: str) -> str | None:
        """Returns the label, or None when no class or more than one can be meant."""
        if name in self._labels:
            return name
        meant = self._by_spelling.get(spelling(name), set())
        return next(iter(meant)) if len(meant) == 1 else None


def similar_labels(labels: Iterable[str]) -> list[tuple[str, str]]:
    """Returns pairs of labels that differ by case, underscores or spaces alone."""
    first: dict[str, str] = {}
    return [
        (earlier, label) for label in labels if (earlier := first.setdefault(spelling(label), label)) != label
    ]
