"""Annotation entries and video files to a manifest: what was found, what is missing, what does not fit."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from featx.errors import FeatxError
from featx.files.atomic import write_atomically
from featx.manifest.videos import Header, Manifest, Video, write_manifest

from .entries import Annotations, VideoEntry
from .segments import segment_notes
from .video_index import VideoIndex, video_folder


@dataclass
class Matched:
    """A manifest, and everything about it that its author should know.

    A video whose file is missing stays in the manifest, under the path of the official copy: so extraction lists
    it as failed and evaluation as missing, and the number of videos is the data set's own, whatever a copy lacks.

    Attributes:
        manifest: All entries in the order of the annotations.
        missing: Ids of videos without a file.
        repeated: Entries left out because their file belongs to an earlier entry.
        overlaps: Those of them that say another split than the earlier entry: a test video that is learned from.
        conflicts: Those of them that say another class, or that it is in no split.
        ambiguous: Entries that several files fit, with the files; the first one was taken.
        unclaimed: Files that belong to no entry.
        official: Official number of videos of each split, as far as it is known.
        notes: Further lines for the report.
    """

    manifest: Manifest
    missing: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    overlaps: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    unclaimed: list[str] = field(default_factory=list)
    official: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def lists(self) -> dict[str, list[str]]:
        """What is written into files beside the manifest, by the word in the file's name."""
        return {"missing": self.missing, "repeated": self.repeated, "ambiguous": self.ambiguous}


def match(
    annotations: Annotations, paths: list[str], root: str, file: Path, others: Collection[str] = ()
) -> Matched:
    """Gives every entry its file.

    Args:
        annotations: What the official files say.
        paths: Paths of the files that there are, within their folder.
        root: The manifest's `root`: that folder.
        file: Where the manifest will be written.
        others: Paths of files there that are no videos by their ending; an entry that names one exactly has it.

    Raises:
        FeatxError: If not one entry has a file.
    """
    # videos of localisation lie in no class folders, so that a folder that is called like a class means nothing
    class_folders = annotations.classes if any(entry.folder for entry in annotations.entries) else {}
    index = VideoIndex(paths, class_folders, annotations.ignore_case)
    header = Header(
        name=annotations.name,
        root=root,
        classes=annotations.classes,
        exclusion=annotations.exclusion,
        excluded=annotations.excluded,
    )
    matched = Matched(Manifest(header, [], file))
    first_entry: dict[str, VideoEntry] = {}
    claimed: set[str] = set()
    for entry in annotations.entries:
        files = index.find(entry) or [path for path in [entry.path] if path in others]
        claimed.update(files[:1])
        path = files[0] if files else entry.path
        video_id = entry.id or path
        first = first_entry.setdefault(video_id, entry)
        if first is not entry:
            matched.repeated.append(_repetition(entry, first, video_id))
            if entry.split and first.split and entry.split != first.split:
                matched.overlaps.append(matched.repeated[-1])
            elif (entry.split, entry.label) != (first.split, first.label):
                matched.conflicts.append(matched.repeated[-1])
            continue
        if len(files) > 1:
            matched.ambiguous.append(f"{entry.source}\t{', '.join(files)}")
        elif not files:
            matched.missing.append(video_id)
        video = Video(
            id=video_id,
            path=path,
            split=entry.split,
            label=entry.label,
            segments=list(entry.segments),
            ambiguous=list(entry.ambiguous),
            duration_s=entry.duration_s,
            captions=list(entry.captions),
            part_of=path if entry.is_part else None,
            start_s=entry.start_s,
            end_s=entry.end_s,
        )
        matched.manifest.videos.append(video)
    if len(matched.missing) == len(matched.manifest.videos):
        entry = annotations.entries[0]
        there = f"files there look like '{paths[0]}'" if paths else "there is no video at all"
        raise FeatxError(
            f"{root}: has none of the {len(matched.missing)} videos; '{entry.names[0]}' was looked for, {there}"
        )
    # a file that an entry could have taken is accounted for in the list of ambiguous entries
    matched.unclaimed = sorted(set(paths) - claimed)
    return matched


def _repetition(entry: VideoEntry, first: VideoEntry, video_id: str) -> str:
    differences = [
        f"\t{what} '{here}' here, '{there}' there"
        for what, here, there in (("split", entry.split, first.split), ("class", entry.label, first.label))
        if here != there
    ]
    return f"{entry.source}\tas {first.source}\t{video_id}{''.join(differences)}"


def root_between(videos: Path, manifest: Path) -> str:
    """Returns the videos' folder as it stands in the manifest.

    A relative path given by the user becomes relative to the manifest, so that both can be moved together; an
    absolute one stays, so that the manifest can be moved alone.
    """
    if videos.is_absolute():
        return videos.as_posix()
    return Path(os.path.relpath(videos.resolve(), manifest.parent.resolve())).as_posix()


def match_folder(annotations: Annotations, videos: Path, file: Path) -> Matched:
    """Matches entries with the files of a folder; see `match`."""
    below, notes = video_folder(videos)
    matched = match(annotations, below.videos, root_between(videos, file), file, set(below.others))
    matched.notes += notes
    return matched


def match_store(annotations: Annotations, store: Path, file: Path) -> Matched:
    """Matches entries with the ids of a feature store, for when the features are here and the videos are not."""
    from featx.store.reader import FeatureStore

    return match(annotations, sorted(FeatureStore(store)), ".", file)


def list_file(manifest: Path, word: str) -> Path:
    """Returns where a list is written: `hmdb51.jsonl` has `hmdb51.missing.txt` beside it."""
    return manifest.with_name(f"{manifest.stem}.{word}.txt")


def write(matched: Matched) -> None:
    """Writes the manifest, and its lists beside it; a list that is empty is removed."""
    write_manifest(matched.manifest)
    for word, lines in matched.lists.items():
        file = list_file(matched.manifest.file, word)
        file.unlink(missing_ok=True)
        if lines:
            write_atomically(file, "".join(f"{line}\n" for line in lines).encode())


def report(matched: Matched) -> list[str]:
    """Returns the lines of the report: found, missing and official numbers of each split, and everything that was noticed."""
    manifest = matched.manifest
    missing = set(matched.missing)
    listed = Counter(video.split for video in manifest.videos)
    absent = Counter(video.split for video in manifest.videos if video.id in missing)
    rows: list[tuple[str, ...]] = [("split", "found", "missing", "listed", "official")]
    for split in [*listed, *(name for name in matched.official if name not in listed)]:
        numbers = (listed[split] - absent[split], absent[split], listed[split])
        known = f"{matched.official[split]:,}" if split in matched.official else "—"
        rows.append((split or "(none)", *(f"{number:,}" for number in numbers), known))
    captions = sum(len(video.captions) for video in manifest.videos)
    labels = {label for video in manifest.videos for label in video.labels}
    shown = f"{len(labels)} of {len(manifest.header.classes)} classes have videos"
    if captions:
        shown = f"{captions:,} captions"
    lines = [f"{manifest.file}: {manifest.header.name}, {len(manifest.videos):,} videos, {shown}"]
    lines += ["  " + row[0].ljust(8) + "".join(cell.rjust(10) for cell in row[1:]) for row in rows]
    explained = {
        "missing": "videos are missing; they stay in the manifest, so that evaluation counts them",
        "repeated": "entries repeat an earlier one and were left out",
        "ambiguous": "entries have several files; the first was taken",
    }
    for word, entries in matched.lists.items():
        if entries:
            lines.append(f"{len(entries):,} {explained[word]}: {list_file(manifest.file, word)}")
    if matched.unclaimed:
        lines.append(f"{len(matched.unclaimed):,} files belong to no entry, '{matched.unclaimed[0]}' first")
    notes = [*segment_notes(manifest.videos), *matched.notes]
    return [*lines, *(f"note: {note}" for note in notes)]
