"""Which store a folder is, when ``store.json`` and the records of its shards, each of which says so, differ."""

from __future__ import annotations

from dataclasses import dataclass

from featx.store.index import store_differences
from featx.store.schema import StoreHeader


@dataclass(frozen=True)
class Identity:
    """What was found out.

    Attributes:
        header: What ``store.json`` should hold; None if nobody knows.
        problem: What is wrong with ``store.json``.
        undecided: Why nobody knows, although there are records.
    """

    header: StoreHeader | None
    problem: str = ""
    undecided: str = ""


def identity_of(stated: StoreHeader | None, of_shards: dict[str, StoreHeader]) -> Identity:
    """Finds out which store a folder is.

    If all shards agree they are right. Otherwise it is what is said most often, ``store.json`` being one more voice.

    Args:
        stated: What ``store.json`` holds, if it can be read.
        of_shards: What each shard's record says, by the shard's name.
    """
    headers: list[StoreHeader] = []
    shards_of: list[list[str]] = []  # for each of the headers
    for shard, header in of_shards.items():
        if header not in headers:
            headers.append(header)
            shards_of.append([])
        shards_of[headers.index(header)].append(shard)
    if not headers:
        return Identity(stated)
    voices = [len(shards) + (header == stated) for header, shards in zip(headers, shards_of, strict=True)]
    most = max(voices)
    if len(headers) > 1 and voices.count(most) > 1:
        groups = [_some(shards) for shards, count in zip(shards_of, voices, strict=True) if count == most]
        undecided = f"{' and '.join(groups)} are of different stores, and nothing says which is this one"
        return Identity(None, undecided=undecided)
    header = headers[voices.index(most)]
    if stated is None or stated == header:
        return Identity(header)
    differences = "; ".join(store_differences(stated.model_dump(), header.model_dump()))
    return Identity(
        header, f"is of another store than {_some(shards_of[voices.index(most)])} ({differences})"
    )


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
