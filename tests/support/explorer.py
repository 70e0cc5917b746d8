"""A running explorer for tests: the real command in a process of its own."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from featx.cli import main


@contextmanager
def serving(*words: object, cwd: Path | None = None) -> Iterator[str]:
    """Runs featx serve at a free port and yields its address."""
    command = [sys.executable, "-m", "featx", "serve", *map(str, words), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=cwd)
    assert process.stderr is not None
    try:
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"http://\S+", line):
                break
        else:
            raise AssertionError(said)
        yield found[0].rstrip("/")
    finally:
        process.terminate()
        process.wait(20)
        process.stderr.close()


def extract(videos: Path, store: Path) -> Path:
    before, sys.argv = sys.argv, ["featx", "extract", str(videos), "--model", "tiny", "--to", str(store)]
    try:
        main()
    except SystemExit as end:
        assert end.code in (0, 3)
    finally:
        sys.argv = before
    return store
