"""A web server that ends as every command of featx does."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from featx.errors import Interrupted
from featx.signals import STOPPING


class _Server(uvicorn.Server):  # type: ignore[misc,unused-ignore]  # where uvicorn is not installed
    """uvicorn's own would raise the signal again, by which the process would end before it can say so."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals as they are: they have handlers already."""
        yield


def run_until_signal(config: uvicorn.Config, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serves until a signal comes.

    Args:
        config: Of the server.
        listening: A socket that is bound.
        ready: Is called when nothing that follows can be interrupted halfway.

    Raises:
        Interrupted: When a signal came.
    """
    server = _Server(config)
    before = {number: signal.signal(number, server.handle_exit) for number in STOPPING}
    try:
        ready()
        server.run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    raise Interrupted("stopped")
