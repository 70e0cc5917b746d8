"""Which classes compete: all of a manifest, or those that were learned and those that were not (open-set)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from featx.episodes import ClassSplit, class_split_problems, read_class_splits
from featx.errors import FeatxError, nearest
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
        return _from_file(manifest, settings.class_split, settings.class_split_name)
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


def _from_file(manifest: Manifest, file: Path, name: str | None) -> tuple[str, ClassSplit]:
    splits = {split.name: split for split in read_class_splits(file, manifest).splits}
    if name is None and len(splits) > 1:
        some = ", ".join(list(splits)[:5])
        raise FeatxError(
            f"--class-split {file}: holds {len(splits)}; choose one with --class-split-name ({some}, …)"
        )
    chosen = name or next(iter(splits))
    if chosen not in splits:
        raise FeatxError(f"--class-split-name {name}: not in {file}{nearest(chosen, splits)}")
    return f"{file}#{chosen}", splits[chosen]


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


def read_labels(file: Path, manifest: Manifest, flag: str) -> list[str]:
    """Reads a list of classes, one a line, each as its label or its text.

    Raises:
        FeatxError: With file and line, for a class that the manifest lacks.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FeatxError(f"{flag} {file}: cannot read it ({error})") from error
    by_text = {text: label for label, text in manifest.header.classes.items()}
    labels: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        name = line.strip()
        if not name:
            continue
        label = name if name in manifest.header.classes else by_text.get(name)
        if label is None:
            hint = nearest(name, [*manifest.header.classes, *by_text])
            raise FeatxError(f"{file}:{number}: class '{name}' is not in {manifest.file}{hint}")
        labels[label] = None
    if not labels:
        raise FeatxError(f"{flag} {file}: names no class")
    return list(labels)
