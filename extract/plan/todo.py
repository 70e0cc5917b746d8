"""What an extraction has to do: which files are new or have changed, and what has to be tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from featx import __version__
from featx.errors import printable
from featx.store.failures import Failure, FailureList
from featx.store.folder_changes import FolderChanges, FoundFile, compare, stored_files
from featx.store.index import StoreIndex
from featx.store.source_files import FileState, is_gone, recorded_file
from featx.video.ffmpeg import ffmpeg_version

from .settings import ExtractSettings
from .videos import FoundVideos, SourceVideo

# On these it depends which frames of a damaged video are sound.
MATTERS_TO_KEPT = {
    *("on_damage", "timeout", "max_pixels", "max_duration", "max_frames", "decode_hwaccel", "stream"),
}
NAMED = 3  # videos that a line names


@dataclass
class Todo:
    """What there is to do.

    Attributes:
        videos: To extract, in the order in which they were found.
        states: Size and time of each file that was found, by id.
        changes: What has become of the store's files.
        refused: Files that must not be opened; those are failures.
        accepted: Ids of videos that are known to be bad, and are as they were then.
        kept: Ids of damaged videos that are kept, and that nothing speaks for trying again.
        gone_failures: Ids that failed and whose files are no longer there.
    """

    videos: list[SourceVideo]
    states: dict[str, FileState | None]
    changes: FolderChanges
    refused: list[Failure]
    accepted: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    gone_failures: list[str] = field(default_factory=list)


def find_todo(
    found: FoundVideos,
    index: StoreIndex,
    failures: FailureList,
    settings: ExtractSettings,
    say: Callable[[str], None],
) -> Todo:
    """Compares what was found with the store.

    Args:
        found: The videos that there are.
        index: Of the store, with the information about files (`FILE_INFO`).
        failures: Of the store.
        settings: What the features are.
        say: Takes a line when that takes long.

    Raises:
        FeatxError: If a file would take the place of another one that is still there.
    """
    files = [video.found() for video in found.videos]
    states = {each.id: each.state for each in files}
    changes = compare(
        [*files, *(_refused_file(failure) for failure in found.refused if failure.state is not None)],
        stored_files(index),
        found.folders,
        settings.check == "content",
        say,
    )
    complete = dict(zip(index.ids, index.video_info["complete"], strict=True))
    todo = Todo([], states, changes, [])
    for failure in found.refused:
        if failures.is_accepted(failure.id, failure.state):
            todo.accepted.append(failure.id)
        else:
            todo.refused.append(failure)
    wanted = {*changes.new, *changes.changed}
    for video in found.videos:
        is_kept = video.id not in wanted and not complete.get(video.id, True)
        if failures.is_accepted(video.id, states[video.id]) and (is_kept or video.id in wanted):
            todo.accepted.append(video.id)
        elif is_kept and not _may_be_better_now(failures.get(video.id), settings):
            todo.kept.append(video.id)
        elif is_kept or video.id in wanted:
            todo.videos.append(video)
    there = {*states, *(failure.id for failure in found.refused)}
    todo.gone_failures = [
        video_id
        for video_id in failures.ids
        if video_id not in there
        and failures[video_id].root in found.folders
        and is_gone(recorded_file(failures[video_id]))
    ]
    return todo


def lines_about(todo: Todo, to: object, count: int) -> list[str]:
    """Says what was found, in lines for the user.

    Args:
        todo: What there is to do.
        to: The store.
        count: How many videos were found.
    """
    changes = todo.changes
    there = len(changes.unchanged) + len(changes.touched) + len(changes.moved)
    lines = []
    if there or changes.changed or changes.gone:
        parts = [f"{there} of {count} videos are in {to} already"]
        for what, ids in (("new", changes.new), ("changed", changes.changed), ("moved", changes.moved)):
            parts += [f"{len(ids)} {what}"] if ids else []
        parts += [f"{len(changes.touched)} touched (same content)"] if changes.touched else []
        parts += [f"{len(todo.accepted)} accepted as bad"] if todo.accepted else []
        lines.append(", ".join(parts))
    elif todo.accepted:
        lines.append(f"{len(todo.accepted)} of {count} videos are accepted as bad")
    if changes.gone:
        lines.append(
            f"{len(changes.gone)} videos of {to} are gone from the disk ({_some(changes.gone)}); featx store prune removes "
            "them from it"
        )
    if todo.kept:
        lines.append(
            f"{len(todo.kept)} kept videos are incomplete ({_some(todo.kept)}) and nothing has changed; --retry-kept tries "
            "them again"
        )
    return lines


def tried_with(settings: ExtractSettings) -> dict[str, Any]:
    """Returns all on which it depends what is kept of a damaged video, beside its file."""
    options = settings.model_dump(mode="json", include=MATTERS_TO_KEPT)
    return {**options, "ffmpeg": cached_ffmpeg_version(), "featx": __version__}


@cache
def cached_ffmpeg_version() -> str:
    """Returns the version of ffmpeg, which is asked once."""
    return ffmpeg_version()


def _may_be_better_now(failure: Failure | None, settings: ExtractSettings) -> bool:
    return failure is None or settings.retry_kept or failure.tried_with != tried_with(settings)


def _refused_file(failure: Failure) -> FoundFile:
    return FoundFile(
        failure.id, recorded_file(failure), failure.path, failure.root, failure.state, is_refused=True
    )


def _some(ids: list[str]) -> str:
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(map(printable, ids[:NAMED])) + more
