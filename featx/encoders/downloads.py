"""Downloads: nothing is fetched without a line that says what, from where and how large, and with `--offline` nothing."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from featx.devices import first_line
from featx.errors import FeatxError
from featx.output.console import say

VARIABLE = "FEATX_OFFLINE"
WEIGHTS_FOLDER = "~/.cache/clip"  # where OpenAI's `clip` downloads to, and open_clip what is not on the Hub
# that, and what people set for the libraries
OFFLINE_VARIABLES = (VARIABLE, "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
YES = {"1", "on", "yes", "true"}
CHUNK_BYTES = 2**20
ANSWER_SECONDS = 30.0

_MAY_FETCH: ContextVar[bool] = ContextVar("featx_may_fetch", default=True)
_TELL: ContextVar[Callable[[str], None]] = ContextVar("featx_tell_of_download", default=say)


class NotHere(FeatxError):
    """What is wanted is not on this machine, and may not be fetched."""


@contextmanager
def fetching_nothing() -> Iterator[None]:
    """Within it, whatever would be downloaded is a `NotHere`."""
    token = _MAY_FETCH.set(False)
    try:
        yield
    finally:
        _MAY_FETCH.reset(token)


@contextmanager
def told_through(tell: Callable[[str], None]) -> Iterator[None]:
    """Within it, lines about downloads go there: a worker process has no terminal of its own."""
    token = _TELL.set(tell)
    try:
        yield
    finally:
        _TELL.reset(token)


def refuse_offline(said: str, what: str, way_out: str) -> None:
    """Refuses to fetch what is not here, if the user does not want it.

    Args:
        said: The option as the user gave it.
        what: Is missing.
        way_out: What to do on a machine without a network.

    Raises:
        NotHere: With `--offline`, or what people set for the libraries, or within `fetching_nothing`.
    """
    offline = any(os.environ.get(name, "").lower() in YES for name in OFFLINE_VARIABLES)
    if offline or not _MAY_FETCH.get():
        raise NotHere(f"{said}: {what} is not here, and offline nothing is downloaded; {way_out}")


def announce(what: str, source: str, size_bytes: int | None, to: Path) -> None:
    """Says that a download begins.

    Args:
        what: Is downloaded.
        source: From where.
        size_bytes: How large it is; None if the server does not say.
        to: Where it is kept.
    """
    size = "of unknown size" if size_bytes is None else f"{size_bytes / 2**20:,.1f} MiB"
    _TELL.get()(f"downloads {what} ({size}) from {source} to {to}")


def fetch_url(url: str, file: Path, what: str, sha256: str = "") -> None:
    """Downloads a file, whole or not at all.

    Args:
        url: Its address.
        file: Where to put it.
        what: It is, for the line that is said.
        sha256: The beginning of its SHA-256, if that is known.

    Raises:
        OSError: If the address cannot be reached, or the file not be written.
        ConnectionError: If the connection breaks.
        ValueError: If what came is not the file that the SHA-256 says.
    """
    with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
        size = answer.headers.get("Content-Length")
        announce(what, url, None if size is None else int(size), file)
        file.parent.mkdir(parents=True, exist_ok=True)
        digest, received = hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as part:
            try:
                while chunk := answer.read(CHUNK_BYTES):
                    part.write(chunk)
                    digest.update(chunk)
                    received += len(chunk)
                if size is not None and received != int(size):
                    raise ConnectionError(f"the connection broke after {received:,} of {int(size):,} bytes")
                if not digest.hexdigest().startswith(sha256):
                    raise ValueError(f"what {url} gave is another file than its SHA-256 says")
                part.close()
                Path(part.name).replace(file)
            finally:
                Path(part.name).unlink(missing_ok=True)


def fetch_weights(url: str, file: Path, what: str, sha256: str, said: str, or_else: str = "") -> None:
    """Downloads the weights of a model, if the user wants that.

    Args:
        url: Their address.
        file: Where to put them.
        what: They are called.
        sha256: The beginning of their SHA-256, if that is known.
        said: The option as the user gave it, for messages.
        or_else: What else helps where they cannot be downloaded, after "download it elsewhere and put it there".

    Raises:
        FeatxError: If they cannot or may not be downloaded, with the way out.
    """
    way_out = f"download {url} elsewhere and put it at {file}{or_else}"
    refuse_offline(said, f"the file of {what}", way_out)
    try:
        fetch_url(url, file, what, sha256)
    except (OSError, ValueError) as error:
        raise FeatxError(
            f"{said}: the weights could not be downloaded ({first_line(error)}); {way_out}"
        ) from error


def has_sha256(file: Path, sha256: str) -> bool:
    """Returns whether a file's SHA-256 begins so.

    Args:
        file: The file.
        sha256: The beginning.
    """
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest().startswith(sha256)
