"""Which classes compete: all of a manifest, or those that were learned and those that were not (open-set)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from featx.class_lists import named_class_split, read_labels
from featx.episodes import ClassSplit, class_split_problems
from featx.errors import FeatxError
from featx.evaluate.settings import ClassSettings
from featx.manifest import Manifest
from featx.results import ClassSet

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
    """

    manifest: Manifest
    class_set: ClassSet = "all"
    source: str | None = None
    seen: frozenset[str] | None = None
    left_out: int = 0


def choose_classes(
    manifest: Manifest,
    learned: Iterable[str] | None,
    same_data_set: bool,
    settings: ClassSettings,
    split: str,
) -> ClassChoice:
    """Chooses the classes that compete.

    Args:
        manifest: Of the data set that is scored.
        learned: Labels that the run has learned; None if it has learned nothing.
        same_data_set: Whether it learned from this data set: labels of another one mean other videos.
        settings: What the user asked for.
        split: The split that is scored.

    Raises:
        FeatxError: If the split does not fit the manifest, or calls a class unseen that was learned.
    """
    known = None if learned is None else [label for label in manifest.labels if label in set(learned)]
    found = _find_split(manifest, known, settings)
    if found is None:
        return ClassChoice(manifest)
    source, class_split = found
    learned_too = sorted(set(class_split.unseen) & set(known or ())) if same_data_set else []
    if learned_too:
        raise FeatxError(
            f"{source.replace('#', ', ')}: '{learned_too[0]}' is unseen there, but the run has learned it "
            f"({len(learned_too)} such classes); train on the seen classes alone, or give the split that it was trained with"
        )
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
    return ClassChoice(part, settings.classes, source, frozenset(class_split.seen), left_out)


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
