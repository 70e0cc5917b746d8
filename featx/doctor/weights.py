"""OpenAI's weights: which are here, whether they are whole, and from where, how large, others would come."""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from featx.doctor.check import Check, State, readable_size
from featx.encoders.openai import cached_file, published

DEFAULT = "ViT-B/16"
# Of the published files, in MiB; tests/doctor computes them from the models' weights, most of which have 16 bits.
SIZES_MIB = {
    "RN50": 244,
    "RN101": 278,
    "RN50x4": 402,
    "RN50x16": 630,
    "RN50x64": 1290,
    "ViT-B/32": 338,
    "ViT-B/16": 335,
    "ViT-L/14": 890,
    "ViT-L/14@336px": 891,
}
ANSWER_SECONDS = 5.0
TINY = "--model tiny needs none"


def check_weights(folder: Path | None = None) -> list[Check]:
    """Compares every file of OpenAI's that is in the cache with its SHA-256, which its address names.

    Args:
        folder: The cache; that of OpenAI's `clip` if not given.
    """
    addresses = published()
    files = {name: cached_file(name, folder) for name in addresses}
    here = {name: file for name, file in files.items() if file.exists()}
    checks = [_check_file(name, file, addresses[name].split("/")[-2]) for name, file in here.items()]
    if DEFAULT not in here:
        checks.append(_check_download(DEFAULT, addresses[DEFAULT], files[DEFAULT].parent))
    return checks


def _check_file(name: str, file: Path, sha256: str) -> Check:
    advice = "delete it; the next command that needs it downloads it again"
    try:
        size = readable_size(file.stat().st_size)
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        reason = f"{file}: cannot be read ({error.strerror})"
        return Check(f"weights {name}", State.FAILURE, reason, "change its permissions, or delete it")
    if found != sha256:
        wanted = f" (it has {size}, theirs about {_size(name)})" if name in SIZES_MIB else ""
        return Check(
            f"weights {name}", State.FAILURE, f"{file}: not the file that OpenAI published{wanted}", advice
        )
    return Check(f"weights {name}", State.OK, f"{file}: {size}, SHA-256 as published")


def _check_download(name: str, address: str, folder: Path) -> Check:
    """Says what would be downloaded, and whether it could be."""
    found = f"not here; would be downloaded (about {_size(name)}) from {address} to {folder}"
    elsewhere = f"download it elsewhere, and put it there or give its path as --model openai:FILE; {TINY}"
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not os.access(there, os.W_OK):
        reason = f"{found}, which may not be written"
        return Check(f"weights {name}", State.FAILURE, reason, f"HOME names another folder; or {elsewhere}")
    if shutil.disk_usage(there).free < SIZES_MIB[name] * 2**20:
        reason = f"{found}, where there is no room for it"
        return Check(f"weights {name}", State.FAILURE, reason, f"make room; or {elsewhere}")
    if (problem := _connection_problem(address)) is not None:
        reason = f"{found}, but that address cannot be reached from here ({problem})"
        return Check(f"weights {name}", State.WARNING, reason, elsewhere)
    return Check(
        f"weights {name}", State.WARNING, found, f"the first command that needs it waits for it; {TINY}"
    )


def _size(name: str) -> str:
    return readable_size(SIZES_MIB[name] * 2**20)


def _connection_problem(address: str) -> str | None:
    """Returns why a file cannot be fetched, or None: asks for its size only."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=ANSWER_SECONDS):
            return None
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.reason}"
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, ValueError) as error:  # no answer in time; an odd proxy
        return str(error) or type(error).__name__
