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

from .loop import differing, some_of

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
