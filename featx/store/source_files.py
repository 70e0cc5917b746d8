"""Where the video files of a store are: below the folder that was extracted, or wherever that folder is now."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple, Protocol

from featx.errors import FeatxError
from featx.store.schema import VideoInfo

IMPORTED = ".npy"  # features came from such a file; nobody knows the video's


class FileState(NamedTuple):
    """By what a file that was replaced is told from the one before, without reading it."""

    size_bytes: int
    mtime_ns: int


class Recorded(Protocol):
    """Something that says where a file was: `path`, below `root` if that is known."""

    @property
    def path(self) -> str:
        """The file."""
        ...

    @property
    def root(self) -> str | None:
        """Absolute path of the folder."""
        ...


def source_file(video_id: str, video_info: VideoInfo, folder: Path | None = None) -> Path:
    """Returns where the file of a stored video should be; it need not be there.

    Args:
        video_id: Its id.
        video_info: What the store knows of it.
        folder: Where the folder that was extracted is now (``--videos``); by default where it was then. A store that
            does not know that folder has its files at ``folder`` / id.
    """
    if folder is None:
        return recorded_file(video_info)
    known = video_info.root is not None and not video_info.path.endswith(IMPORTED)
    return folder / (video_info.path if known else video_id)


def recorded_file(recorded: Recorded) -> Path:
    """Returns a file where it was when it was read."""
    return Path(recorded.root or "", recorded.path)


def state_of(file: Path) -> FileState | None:
    """Returns size and time of a file; None if it is not there."""
    try:
        status = file.stat()
    except OSError:
        return None
    return FileState(status.st_size, status.st_mtime_ns)


def is_gone(file: Path) -> bool:
    """Tells whether nothing is where a file was, not even a link that leads nowhere.

    Raises:
        FeatxError: If the disk does not say.
    """
    try:
        os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        raise FeatxError(f"{file}: cannot be looked for ({error.strerror})") from error
    return False


def is_there(folder: Path) -> bool:
    """Tells whether a folder has anything in it: that of a disk that is not mounted may be missing, or empty."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def content_sha256(file: Path) -> str:
    """Returns the sha256 of a file's bytes.

    Raises:
        OSError: If it cannot be read.
    """
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
