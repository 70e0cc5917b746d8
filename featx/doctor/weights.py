"""OpenAI's weights: which are here, whether they are whole, and from where others would come."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from featx.doctor.check import Check, State
from featx.encoders.openai import cached_file, published

DEFAULT = "ViT-B/16"


def check_weights(folder: Path | None = None) -> list[Check]:
    """Compares every file of OpenAI's that is in the cache with its SHA-256, which its address names.

    Args:
        folder: The cache; that of OpenAI's `clip` if not given.
    """
    addresses = published()
    here = {name: cached_file(name, folder) for name in addresses}
    folder = here[DEFAULT].parent
    here = {name: file for name, file in here.items() if file.is_file()}
    checks = [_check_file(name, file, addresses[name].split("/")[-2]) for name, file in here.items()]
    if DEFAULT not in here:
        writable = os.access(next(one for one in (folder, *folder.parents) if one.exists()), os.W_OK)
        to = f"would be downloaded from {addresses[DEFAULT]} to {folder}"
        if not writable:
            checks.append(
                Check(
                    f"weights {DEFAULT}",
                    State.FAILURE,
                    f"{to}, which may not be written",
                    "HOME names another folder; or download it elsewhere, and give its path as --model",
                )
            )
        else:
            checks.append(
                Check(
                    f"weights {DEFAULT}",
                    State.WARNING,
                    f"not here; {to}",
                    "without a network, download it elsewhere and put it there; --model tiny needs none",
                )
            )
    return checks


def _check_file(name: str, file: Path, sha256: str) -> Check:
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != sha256:
        return Check(
            f"weights {name}", State.FAILURE, f"{file}: not the file that OpenAI published", "delete it"
        )
    return Check(f"weights {name}", State.OK, f"{file}: whole")
