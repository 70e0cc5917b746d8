"""Signals that ask the program to stop: when they become a KeyboardInterrupt, and when that has to wait.

An exception that comes out of nowhere between two file operations leaves half of what was meant to be whole. So what
must be one step runs within `DeferSignals`. Blocking signals (``pthread_sigmask``) would not do: it holds for one
thread, and any other one, such as zarr's, would take the signal and have the main thread interrupted all the same.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

from featx.errors import Interrupted

STOPPING = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
)  # Ctrl-C; kill, a shut-down; the terminal was closed


def interrupt_on_signals() -> None:
    """Makes SIGTERM and SIGHUP do what Ctrl-C does; what is ignored (by ``nohup``) stays ignored."""
    if threading.current_thread() is threading.main_thread():
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler)


def ignore_signals() -> None:
    """Makes this process deaf to the signals that stop a program: what is left to do is to end."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def interruptible(message: str | Callable[[], str]) -> Iterator[None]:
    """Says, for a command, what it means to stop it within: what is kept, and how to go on.

    Args:
        message: The line for the user, or what makes it, for a line that depends on how far the command is.

    Raises:
        Interrupted: With that message, when a signal interrupts what runs within.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(message if isinstance(message, str) else message()) from None


class DeferSignals:
    """A context in which the signals that stop a program wait; the one that came is acted on when it ends.

    An error within goes before: what the signal asked for, that the work ends, happens then too. In a thread other
    than the main one it does nothing: signals are never acted on there.
    """

    def __init__(self, only_first: bool = False) -> None:
        """Prepares.

        Args:
            only_first: A second signal is acted on at once: for what asks ``came`` now and then, and may hang.
        """
        self.came: int | None = None
        self._only_first = only_first
        self._before: dict[int, Any] = {}
        self._over = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._over or (self._only_first and self.came is not None):
            self._act(number, frame)
        else:
            self.came = number

    def _act(self, number: int, frame: FrameType | None) -> None:
        handler = self._before[number]
        if callable(handler):
            handler(number, frame)
        else:  # the system's own: the process ends
            signal.signal(number, handler)
            signal.raise_signal(number)

    def __enter__(self) -> DeferSignals:
        if threading.current_thread() is threading.main_thread():
            try:
                for number in STOPPING:
                    handler = signal.getsignal(number)
                    if handler is not None and handler is not signal.SIG_IGN:
                        self._before[number] = handler
                        signal.signal(number, self._note)
            except BaseException:  # one came before its turn
                self._restore()
                raise
        return self

    def _restore(self) -> None:
        # From here on `_note` itself lets signals through, so an interruption of this loop leaves none of them deaf.
        self._over = True
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if self.came is not None and kind is None:
            signal.raise_signal(self.came)
