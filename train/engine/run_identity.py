"""The identity of a run, settings and data: written down when it begins, compared when its command is given again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.files.digest import read_json, write_json
from featx.manifest.videos import Video
from featx.store.reader import FeatureStore

from .settings import LearnSettings

WAY_OUT = "choose another --to, or start over with --fresh"
DIGEST_LETTERS = 12


def digest_of(content: Any) -> str:
    """Returns a short digest of what JSON can hold."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:DIGEST_LETTERS]


def digest_of_videos(videos: Iterable[Video], store: FeatureStore) -> str:
    """Returns a short digest of all that a manifest says of some videos but where they lie, and of their stored rows."""
    digest = hashlib.sha256()
    for video in videos:
        rows = store.rows(video.stored_id) if video.stored_id in store else None
        digest.update(json.dumps([video.model_dump(mode="json", exclude={"path"}), rows]).encode())
    return digest.hexdigest()[:DIGEST_LETTERS]


def check_identity(
    folder: Path, what: str, then: dict[str, Any], now: dict[str, Any], way_out: str = WAY_OUT
) -> None:
    """Refuses a folder that holds something else; what an earlier featx did not write down is not compared.

    Args:
        folder: The folder.
        what: It holds, for the message.
        then: Identity of what it holds.
        now: Identity of what is asked for.
        way_out: What helps, for the message.

    Raises:
        FeatxError: Naming the differences.
    """
    then = with_current_names(then)
    differences = differing(then, {name: value for name, value in now.items() if name in then})
    if differences:
        raise FeatxError(
            f"{folder}: holds {what} with other settings or data ({some_of(differences)}); {way_out}"
        )


def record_identity(file: Path, what: str, now: dict[str, Any], way_out: str = WAY_OUT) -> None:
    """Writes the identity of what a folder will hold into a file in it, or compares with what stands there.

    Raises:
        FeatxError: If the folder holds something else.
    """
    if file.exists():
        check_identity(file.parent, what, read_json(file, way_out), now, way_out)
    else:
        write_json(file, now, indent=2)


def with_current_names(identity: dict[str, Any]) -> dict[str, Any]:
    """Returns an identity as this featx would write it: settings by what they are called now."""
    if "settings" not in identity:
        return identity
    return identity | {"settings": LearnSettings.with_current_names(identity["settings"])}


def may_go_further(then: dict[str, Any], now: dict[str, Any]) -> bool:
    """Tells whether settings ask for more steps than there were, and their rates do not depend on how many there are."""
    more = then.get("steps", 0) < now.get("steps", 0)
    return more and now.get("schedule") != "cosine"  # it falls to 0 over all steps


def differing(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Returns ``name: then, now`` for every entry that differs, those of nested dictionaries by their own names."""
    differences = []
    for name in sorted(then.keys() | now.keys()):
        before, after = then.get(name), now.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            differences += differing(before, after)
        elif before != after:
            differences.append(f"{name} was {before}, is {after}")
    return differences


def some_of(differences: list[str], most: int = 5) -> str:
    """Returns the first differences as one phrase, and how many there are more."""
    more = len(differences) - most
    return "; ".join(differences[:most]) + (f"; and {more} more" if more > 0 else "")
