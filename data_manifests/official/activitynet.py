"""ActivityNet 1.3, and any other file of its form: a JSON database of videos with subset, duration and annotations.

Ids in the file have no `v_`, the files of the videos do: `v_` and the id, which may itself begin with `-`, `_` or `v_`.
"""

from __future__ import annotations

from pathlib import Path

from featx.errors import FeatxError
from featx.localisation.activitynet_json import AnnotatedVideo, Database, read_database, split_name
from featx.manifest.videos import Segment
from featx.video.files import without_ending

from ..building.entries import Annotations, VideoEntry, find_annotation
from ..building.names import class_texts
from .info.read import read_dataset_info

DATA_SET = "activitynet"


def read_activitynet(folder: Path) -> Annotations:
    """Reads the official file.

    Args:
        folder: Folder that has `activity_net.v1-3.min.json`, or the folder above it.

    Raises:
        FeatxError: If it is not there, or something in it is not as it should be.
    """
    info = read_dataset_info(DATA_SET)
    names = info.files["all"]
    file = find_annotation(folder, names)
    if file is None:
        raise FeatxError(
            f"--annotations {folder}: no {names[0]}; for a file of another name take featx manifest activitynet-json FILE"
        )
    read = _annotations(file, read_database(file), info.name, info.class_text, f"v_{{}}{info.ending}")
    if len(read.classes) != info.class_count:
        read.notes.append(f"{len(read.classes)} of {info.class_count} classes are in {file}")
    read.official = info.counts[1]
    return read


def read_activitynet_json(file: Path, name: str, class_text: str, subsets: list[str]) -> Annotations:
    """Reads a file of ActivityNet's form.

    Args:
        file: The file.
        name: Name of the data set.
        class_text: Rule that makes a class's text from its label, see `names.TEXT_RULES`.
        subsets: Words such as `validation=train`: a subset and the split that it becomes. Others become `train`, `val` and
            `test` if they are ActivityNet's, and stay as they are if not.

    Raises:
        FeatxError: If something in it is not as it should be, or a subset that is named is not there.
    """
    database = read_database(file)
    known = {video.split for video in database.videos}
    splits = {}
    for word in subsets:
        subset, equals, split = word.partition("=")
        if not equals or split_name(subset) not in known:
            raise FeatxError(f"--subset {word}: must be SUBSET=SPLIT; {file} has {', '.join(sorted(known))}")
        splits[split_name(subset)] = split
    return _annotations(file, database, name, class_text, "{}.mp4", splits)


def _annotations(
    file: Path,
    database: Database,
    name: str,
    class_text: str,
    path: str,
    splits: dict[str, str] | None = None,
) -> Annotations:
    """Returns the entries; `path` is where a file lies in the official copy, with {} for the id."""
    labels = sorted({one.label for video in database.videos for one in video.annotations})
    with_v = {f"v_{without_ending(video.id)}" for video in database.videos}
    entries = [_entry(file, video, path, splits or {}, with_v) for video in database.videos]
    return Annotations(name, class_texts(labels, class_text, {}), entries)


def _entry(
    file: Path, video: AnnotatedVideo, path: str, splits: dict[str, str], with_v: set[str]
) -> VideoEntry:
    bare = without_ending(video.id)
    return VideoEntry(
        # a file without the v_ is taken, too, unless that is what another video's file is called
        (f"v_{bare}",) if bare in with_v else (f"v_{bare}", bare),
        video.id if bare != video.id else path.format(bare),
        "",
        splits.get(video.split, video.split),
        None,
        f"{file}: {video.id}",
        tuple(Segment(start_s=one.start_s, end_s=one.end_s, label=one.label) for one in video.annotations),
        duration_s=video.duration_s,
    )
