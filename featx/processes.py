"""Starting processes of featx from any program, a plain script too."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_LOCK = threading.Lock()


@contextmanager
def without_main() -> Iterator[None]:
    """Keeps processes that are started within from running the program's main file once more.

    ``multiprocessing`` has a new process import the main file of the program, under another name. A script that calls
    featx without ``if __name__ == "__main__"`` would so call it again in each worker. Those of featx need nothing of it.
    """
    with _LOCK:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
