"""Commands of `featx store` for a folder of videos that changes: what is gone leaves the store, known-bad files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from featx.errors import FeatxError, nearest, printable
from featx.help_pages import CommandLine
from featx.signals import interruptible

app = CommandLine()


class Commands(StrEnum):
    """Headings above the commands on the help page of `featx store`."""

    LOOK = "Look and check"
    COPY = "Copy, import and export"
    LIVING = "Videos that are gone, changed or damaged"
    SHARED = "Shared folders and object stores"


Store = Annotated[Path, typer.Argument(help="Folder of a feature store.")]


@app.command(rich_help_panel=Commands.LIVING)
def prune(
    store: Store,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[VIDEO_FOLDER]",
            help="Only consider videos that were below this folder. If none was, look here for files "
            "whose folder has moved.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
) -> None:
    """Removes videos from STORE whose files no longer exist.

    If a whole folder is missing or empty, its videos stay unless the folder is named: its disk may not be mounted.

    Examples:
        featx store prune features/mine --dry-run
        featx store prune features/mine
    """
    from featx.store.failures import FailureList
    from featx.store.index import StoreIndex, read_header
    from featx.store.upkeep.prune import find_gone
    from featx.store.writing.writer import FILE_INFO, StoreWriter

    with interruptible(f"stopped; {store} was not changed"), contextlib.ExitStack() as stack:
        if dry_run:
            index = StoreIndex(store, read_header(store), FILE_INFO)
        else:
            writer = stack.enter_context(StoreWriter.of(store))
            index = writer.index
        failures = FailureList(store, index.failures)
        gone = find_gone(store, index, failures, folder)
        if not dry_run:
            writer.amend(drops=gone.videos)
            failures.tidy(gone.failures)
    for video_id in gone.videos:
        print(printable(f"{'gone' if dry_run else 'removed'}: {video_id}"))
    did = "would be removed" if dry_run else "removed"
    print(
        f"{store}: {len(gone.videos):,} of {gone.looked_for:,} videos {did}"
        + (f", {len(gone.failures):,} failures of files that are gone" if gone.failures else "")
        + ("; featx store compact gives their room back" if gone.videos and not dry_run else "")
    )
    if gone.unknown:
        print(
            f"{gone.unknown:,} videos were not looked for: the store does not know their folder; name it: "
            f"featx store prune {store} FOLDER"
        )


@app.command(rich_help_panel=Commands.LIVING)
def remove(
    store: Store,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of videos in the store.")],
) -> None:
    """Removes videos from STORE by their ids. featx extract computes them again if their files still exist.

    Examples:
        featx store remove features/mine holiday/beach.mp4
    """
    from featx.store.failures import FailureList
    from featx.store.writing.writer import StoreWriter

    with interruptible(f"stopped; {store} was not changed"), StoreWriter.of(store) as writer:
        failures = FailureList(store, writer.index.failures)
        wanted = list(dict.fromkeys(ids))
        _check_known(store, wanted, [*writer.done, *failures.ids])
        videos = [video_id for video_id in wanted if video_id in writer.done]
        writer.amend(drops=videos)
        failures.tidy(wanted)
    print(
        f"{store}: {len(videos):,} videos removed; featx store compact gives their room back"
        + (f"; {len(wanted) - len(videos):,} failures struck off" if len(videos) < len(wanted) else "")
    )


@app.command(rich_help_panel=Commands.LIVING)
def compact(store: Store) -> None:
    """Frees the disk space of videos in STORE that were removed, replaced or changed.

    Shards with such videos are written again without them; no bit of the other rows changes. Programs that have the
    store open have to open it again.

    Examples:
        featx store compact features/mine
    """
    from featx.store.upkeep.compact import compact as compact_store

    with interruptible(f"stopped; {store} is as good as before; the same command goes on"):
        done = compact_store(store)
    print(
        f"{store}: {done.bytes_freed / 1e6:,.1f} MB given back; {done.videos:,} videos of {done.shards:,} shards were "
        "written anew"
    )


@app.command("accept-failures", rich_help_panel=Commands.LIVING)
def accept_failures(
    store: Store,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID...]", help="Ids of failed videos. By default all that failed."),
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Undo it: featx extract tries these files again.")
    ] = False,
) -> None:
    """Marks failed files as known to be bad. featx extract then skips them, with exit code 0, until they change.

    Examples:
        featx store accept-failures features/mine
        featx store accept-failures features/mine broken.mp4 --undo
    """
    from featx.store.failures import FailureList
    from featx.store.index import StoreIndex, read_header
    from featx.store.writing.lock import StoreLock

    index = StoreIndex(store, read_header(store))
    lock = StoreLock(store)
    try:
        failures = FailureList(store, index.failures)
        if undo and ids is None:
            ids = failures.accepted
        wanted = list(dict.fromkeys(failures.ids if ids is None else ids))
        _check_known(store, wanted, failures.ids, "no failure of a video")
        failures.accept(wanted, not undo)
    finally:
        lock.release()
    for video_id in wanted:
        error = printable(f"{video_id}: {failures[video_id].error}")
        print(f"{'to be tried again' if undo else 'accepted'}: {error}")
    rest = len(failures.ids) - len(failures.accepted)
    print(f"{store}: {len(failures.accepted):,} accepted failures, {rest:,} others")


def _check_known(store: Path, ids: list[str], known: Iterable[str], what: str = "no video") -> None:
    """Raises an error if one of some ids is unknown."""
    known = set(known)
    unknown = [video_id for video_id in ids if video_id not in known]
    if unknown:
        others = f" and {len(unknown) - 1} others" if len(unknown) > 1 else ""
        hint = nearest(unknown[0], known)
        raise FeatxError(f"{store}: {what} '{unknown[0]}'{others}{hint}; nothing was done")
