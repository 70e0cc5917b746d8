"""What tests that kill need: the processes below one, and what ffmpeg was given to decode."""

import os
import subprocess
from pathlib import Path

from featx.video.ffmpeg import ffmpeg_path


def descendants(pid: int) -> list[int]:
    listing = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True)
    direct = [int(word) for word in listing.stdout.split()]
    return direct + [below for child in direct for below in descendants(child)]


class Diary:
    """An ffmpeg that writes down the name of each video before it decodes it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "decoded.txt"
        self.program = folder / "ffmpeg"
        # the id: the last three parts of the path behind -i
        self.program.write_text(
            f"""#!/bin/sh
for word; do case "$word" in file:*) echo "$word" >> "{self.file}";; esac; done
exec "{ffmpeg_path()}" "$@"
"""
        )
        self.program.chmod(0o755)

    def since(self, videos: Path, line: int) -> list[str]:
        lines = self.file.read_text().splitlines()[line:] if self.file.exists() else []
        return [os.path.relpath(entry.removeprefix("file:"), videos) for entry in lines]

    def __len__(self) -> int:
        return len(self.file.read_text().splitlines()) if self.file.exists() else 0
