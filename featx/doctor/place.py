"""A place for a store: is there room, is it fast, can it be locked, and does it decide between two writers?"""

from __future__ import annotations

import uuid
from pathlib import Path

from featx.doctor.check import GIB, Check, State
from featx.doctor.disk import check_folder, made
from featx.errors import FeatxError
from featx.files.lock import FolderLock
from featx.store.backends.open import open_backend
from featx.store.backends.probe import probe

LEAST_BYTES = 10 * GIB
RACES, WRITERS = 3, 4


def check_place(place: str) -> list[Check]:
    """Writes a few files to a folder or an object store, and removes them.

    Args:
        place: A folder, or a URL.
    """
    if "://" in place:
        return [_check_writers(place, State.FAILURE)]
    advice = "a million frames of ViT-B/16 take 1 GiB; choose a place with more room, and not a slow one"
    disk = check_folder("store: disk", Path(place), LEAST_BYTES, advice)
    if disk.state is State.FAILURE:
        return [disk]
    with made(Path(place)):
        return [disk, _check_lock(Path(place)), _check_writers(place, State.WARNING)]


def _check_lock(folder: Path) -> Check:
    """Takes a lock, as whoever writes a store does; on some shared disks there are none."""
    file = folder / f".featx-doctor-{uuid.uuid4().hex}"
    try:
        FolderLock(folder, file.name).release()
    except FeatxError as error:
        advice = "ask for a file system with locks (Lustre: the mount option flock), or choose another place"
        return Check("store: lock", State.FAILURE, str(error), advice)
    finally:
        file.unlink(missing_ok=True)
    return Check("store: lock", State.OK, f"{folder}: can be locked by its writer")


def _check_writers(place: str, bad: State) -> Check:
    """Races writers.

    Args:
        place: A folder, or a URL.
        bad: How bad it is if a place does not decide; a folder still serves one machine.
    """
    is_folder = "://" not in place
    try:
        probed = probe(open_backend(place), RACES, WRITERS)
    except (FeatxError, OSError) as error:
        advice = (
            "featx extract can write there, featx plan and featx work cannot; for these choose another place"
        )
        return Check("store: writers", bad, str(error), advice if is_folder else "choose another place")
    found = (
        f"{place}: of {WRITERS} writers of one file one wins ({'hard links' if is_folder else 'put if absent'}); "
        f"a write takes {probed.put_ms:.1f} ms, a read {probed.read_ms:.1f} ms"
    )
    return Check("store: writers", State.OK, found)
