"""A place for a store: is there room, and does it decide between two writers?"""

from __future__ import annotations

import shutil
from pathlib import Path

from featx.doctor.check import GIB, Check, State, in_gib
from featx.errors import FeatxError
from featx.store.backends.open import open_backend
from featx.store.backends.probe import probe

LEAST_BYTES = 10 * GIB
RACES, WRITERS = 3, 4


def check_place(place: str) -> list[Check]:
    """Writes a few small files to a folder or an object store, and removes them.

    Args:
        place: A folder, or a URL.
    """
    checks = []
    if "://" not in place:
        folder = Path(place)
        there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        free = shutil.disk_usage(there).free
        found = f"{in_gib(free)} free in {there}"
        if free < LEAST_BYTES:
            advice = "a million frames of ViT-B/16 take 1 GiB; choose a place with more room"
            checks.append(Check("room for the store", State.WARNING, found, advice))
        else:
            checks.append(Check("room for the store", State.OK, found))
    try:
        probed = probe(open_backend(place), RACES, WRITERS)
    except (FeatxError, OSError) as error:
        advice = "choose another place; featx store probe says more"
        return [*checks, Check("place of the store", State.FAILURE, str(error), advice)]
    found = f"{place}: a write takes {probed.put_ms:.1f} ms, a read {probed.read_ms:.1f} ms; of {WRITERS} writers one wins"
    return [*checks, Check("place of the store", State.OK, found)]
