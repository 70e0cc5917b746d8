"""Which ffmpeg is used, and how a process of ours is ended for good."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess

from featx.errors import FeatxError
from featx.video.files import ENDINGS_OF

VARIABLE = "FEATX_FFMPEG"
# A file may only be what its bytes say it is, and may name no other file: a "video" can be a playlist of
# file:///etc/passwd. Both lists are needed.
PROTOCOLS = "file,pipe"
DEMUXERS = ",".join(ENDINGS_OF)

SECONDS = 30.0  # in which it says its version
MEMORY_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")  # differs from run to run in what ffmpeg says


def ffmpeg_path() -> str:
    """Returns the ffmpeg to run: the one that `FEATX_FFMPEG` names, else the one bundled by imageio-ffmpeg.

    Raises:
        FeatxError: If the variable names something that cannot be run.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        found = shutil.which(chosen)
        if not found:
            raise FeatxError(f"{VARIABLE}={chosen}: no such program; unset it to use the bundled ffmpeg")
        return found
    import imageio_ffmpeg

    bundled: str = imageio_ffmpeg.get_ffmpeg_exe()
    return bundled


def ffmpeg_version() -> str:
    """Returns the version of the ffmpeg that is run.

    Raises:
        FeatxError: If it does not answer.
    """
    path = ffmpeg_path()
    try:
        said = subprocess.run(
            [path, "-version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise FeatxError(f"{path}: does not answer -version within {SECONDS:.0f} s") from error
    words = said.stdout.split()
    return words[2] if len(words) > 2 else "unknown"


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kills a process that leads its own group, and everything that it started."""
    if process.poll() is None:  # once it was waited for, its number may belong to somebody else
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
