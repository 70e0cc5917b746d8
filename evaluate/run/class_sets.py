"""Which classes compete: all of a manifest, or those that were learned and those that were not (open-set)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from featx.errors import FeatxError
from featx.manifest.class_lists import as_read, named_class_split, read_labels
from featx.manifest.episodes import ClassSplit, class_split_problems
from featx.manifest.videos import Manifest
from featx.scoring.results import ClassSet

from .settings import ClassSettings

OWN = "classes of the run itself#own"


@dataclass(frozen=True)
class ClassChoice:
    """The classes that compete.

    Attributes:
        manifest: The part of the manifest that shows them.
        class_set: Which of the split they are.
        source: `Results.class_split`; None without open-set.
        seen: Labels that count as seen; None without open-set.
        left_out: Videos of the split that show other classes.
        warnings: What the user has to know about how classes were told apart.
    """

    manifest: Manifest
    class_set: ClassSet = "all"
    source: str | None = None
    seen: frozenset[str] | None = None
    left_out: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Learned:
    """Which classes of a manifest a run has learned, whatever they are called there.

    Attributes:
        labels: Those that it has learned: under this label, or under another one by the same text.
        renamed: Of these, label here to label there, where only the text is the same.
        other_text: Labels that the run has too, for another text: of another data set they are other classes.
    """

    labels: list[str]
    renamed: dict[str, str]
    other_text: list[str]

    def warnings(self) -> tuple[str, ...]:
        """Returns what is not obvious from the labels, one line each."""
        lines = []
        if self.renamed:
            here, there = next(iter(self.renamed.items()))
            lines.append(
                f"{len(self.renamed)} classes count as seen because the run has learned their texts under other "
                f"labels: '{here}' as '{there}' first"
            )
        if self.other_text:
            lines.append(
                f"{len(self.other_text)} classes count as unseen although the run has learned their labels, for other "
                f"texts: '{self.other_text[0]}' first"
            )
        return tuple(lines)


def choose_classes(
    manifest: Manifest,
    learned: Mapping[str, str] | None,
    same_data_set: bool,
    settings: ClassSettings,
    split: str,
) -> ClassChoice:
    """Chooses the classes that compete.

    Args:
        manifest: Of the data set that is scored.
        learned: Label to text of what the run has learned; None if it has learned nothing.
        same_data_set: Whether it learned from this data set: labels of another one mean other videos.
        settings: What the user asked for.
        split: The split that is scored.

    Raises:
        FeatxError: If the split does not fit the manifest, or calls a class unseen that was learned.
    """
    known = None if learned is None else what_was_learned(manifest, learned, same_data_set)
    found = _find_split(manifest, known.labels if known else None, settings)
    if found is None:
        return ClassChoice(manifest)
    source, class_split = found
    warnings = known.warnings() if known and (source == OWN or not settings.class_split) else ()
    learned_too = sorted(set(class_split.unseen) & set(known.labels)) if known else []
    if learned_too and known:
        first = learned_too[0]
        alias = f" as '{known.renamed[first]}'" if first in known.renamed else ""
        problem = (
            f"{source.replace('#', ', ')}: '{first}' is unseen there, but the run has learned it{alias} "
            f"({len(learned_too)} such classes)"
        )
        if same_data_set:
            raise FeatxError(
                f"{problem}; train on the seen classes alone, or give the split that it was trained with"
            )
        warnings = (*warnings, problem)
    wanted = {
        "seen": class_split.seen,
        "unseen": class_split.unseen,
        "all": [*class_split.seen, *class_split.unseen],
    }[settings.classes]
    part = manifest.only(wanted)
    if not any(video.split == split for video in part.videos):
        raise FeatxError(
            f"{manifest.file}: no video of split '{split}' shows one of the {len(wanted)} classes of --classes "
            f"{settings.classes}"
        )
    left_out = len(manifest.split(split)) - len(part.split(split))
    return ClassChoice(part, settings.classes, source, frozenset(class_split.seen), left_out, warnings)


def what_was_learned(manifest: Manifest, learned: Mapping[str, str], same_data_set: bool) -> Learned:
    """Compares a manifest's classes with those that a run has learned, by label and by text.

    Args:
        manifest: Of the data set that is scored.
        learned: Label to text of what the run has learned.
        same_data_set: Whether it learned from this data set: then a label means the same videos, whatever its text.
    """
    by_text = {as_read(text): label for label, text in learned.items()}
    labels, renamed, other_text = [], {}, []
    for label, text in manifest.header.classes.items():
        there = by_text.get(as_read(text))
        if there is None and label in learned and not same_data_set:
            other_text.append(label)
        elif label in learned or there is not None:
            labels.append(label)
            if label not in learned and there is not None:
                renamed[label] = there
    return Learned(labels, renamed, other_text)


def _find_split(
    manifest: Manifest, learned: list[str] | None, settings: ClassSettings
) -> tuple[str, ClassSplit] | None:
    lists = (settings.seen_list, settings.unseen_list)
    if settings.class_split is not None:
        if any(lists):
            raise FeatxError(
                "--class-split: says which classes are seen; leave out --seen-list and --unseen-list"
            )
        split = named_class_split(settings.class_split, settings.class_split_name, manifest)
        return f"{settings.class_split}#{split.name}", split
    if settings.class_split_name is not None:
        raise FeatxError(f"--class-split-name {settings.class_split_name}: needs --class-split FILE")
    if any(lists):
        return _from_lists(manifest, learned, *lists)
    if settings.classes == "all":
        return None
    if learned is None:
        raise FeatxError(
            f"--classes {settings.classes}: the run has learned nothing, so no class is seen or unseen by itself; give "
            "--class-split, --seen-list or --unseen-list"
        )
    unseen = [label for label in manifest.labels if label not in set(learned)]
    for name, labels in (("seen", learned), ("unseen", unseen)):
        if settings.classes == name and not labels:
            raise FeatxError(f"--classes {name}: {manifest.file} has no class that the run has {name}")
    return OWN, ClassSplit.model_construct(name="own", seen=learned, unseen=unseen)


def _from_lists(
    manifest: Manifest, learned: list[str] | None, seen_list: Path | None, unseen_list: Path | None
) -> tuple[str, ClassSplit]:
    seen = read_labels(seen_list, manifest, "--seen-list") if seen_list else None
    unseen = read_labels(unseen_list, manifest, "--unseen-list") if unseen_list else None
    if seen is None:
        given = set(unseen or ())
        seen = learned if learned is not None else [label for label in manifest.labels if label not in given]
    if unseen is None:
        unseen = [label for label in manifest.labels if label not in set(seen)]
    source = "+".join(str(file) for file in (seen_list, unseen_list) if file)
    split = ClassSplit.model_construct(name="lists", seen=seen, unseen=unseen)
    if problems := class_split_problems(split, manifest):
        raise FeatxError(f"{source}: {problems[0]}")
    name = "+".join(file.stem for file in (seen_list, unseen_list) if file)
    return f"{source}#{name}", split
