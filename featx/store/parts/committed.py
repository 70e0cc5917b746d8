"""Which parts of a plan are committed: those that have a record."""

from __future__ import annotations

import re

from featx.store.backends.interface import Backend, NotThere
from featx.store.schema import SHARDS_FOLDER, shard_name

RECORD_KEY = re.compile(rf"{SHARDS_FOLDER}/shard-(\d{{5,}})\.json")


def committed_parts(backend: Backend) -> set[int]:
    """Returns the numbers of all records that are there."""
    found = (RECORD_KEY.fullmatch(listed.key) for listed in backend.list(SHARDS_FOLDER))
    return {int(match[1]) for match in found if match}


def is_there(backend: Backend, number: int) -> bool:
    """Whether a part is committed."""
    try:
        return backend.size(f"{SHARDS_FOLDER}/{shard_name(number)}.json") > 0
    except NotThere:
        return False
