"""One worker process as the run sees it, and how it is started."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from featx.errors import FeatxError
from featx.processes import without_main

from ..plan.videos import SourceVideo
from .messages import FrameCounts, WorkerConfig, WorkerReady, WorkerStarting

if TYPE_CHECKING:
    from ..plan.settings import ExtractSettings

END_SECONDS = 10.0
FIRST_WORD_SECONDS = 600.0  # importing torch from a slow disk


@dataclass
class Worker:
    """One worker process as the run sees it.

    Attributes:
        slot: The place of its device among those that were given; one may be given twice.
        device: Where it computes.
        process: The process.
        connection: The run's end of the pipe to it.
        ready: What it said when its encoder stood.
        in_hand: Videos that were handed out and have not come back.
        requests: How often it asked for a video.
        takes_no_more: Whether it gets none any more.
        has_exited: Whether it said that it was done, or why it stops.
        error: What it or its device could not go on from.
        counts: Frames so far.
        doing: What it does until it is ready.
        deadline: When it must have spoken again (of `time.monotonic`); None: whenever it likes.
    """

    slot: int
    device: str
    process: BaseProcess
    connection: Connection
    ready: WorkerReady | None = None
    in_hand: dict[str, SourceVideo] = field(default_factory=dict)
    requests: int = 0
    takes_no_more: bool = False
    has_exited: bool = False
    error: Exception | None = None
    counts: FrameCounts = field(default_factory=FrameCounts)
    doing: str = "starts"
    deadline: float | None = field(default_factory=lambda: time.monotonic() + FIRST_WORD_SECONDS)

    def note_state(self, message: WorkerStarting | WorkerReady) -> None:
        """Takes what it says before it works."""
        if isinstance(message, WorkerReady):
            self.ready, self.deadline = message, None
        else:
            self.doing = message.what
            self.deadline = None if message.within_s is None else time.monotonic() + message.within_s

    @property
    def seconds_left(self) -> float | None:
        """How long it may still be silent; None: for ever."""
        return None if self.deadline is None else max(self.deadline - time.monotonic(), 0.0)

    @property
    def late(self) -> FeatxError:
        """What to say when it was silent for too long."""
        return FeatxError(
            f"--device {self.device}: its process {self.doing}, and does not come to an end; the driver may hang (see "
            "whether nvidia-smi answers). Give other devices"
        )

    @property
    def how_it_ended(self) -> str:
        """Says how the process ended, behind "its process"; waits for it for a while."""
        self.process.join(END_SECONDS)
        code = self.process.exitcode
        if code is not None and code < 0:
            hint = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f"was killed by signal {-code}{hint}"
        return f"ended with status {code}"

    def end(self) -> None:
        """Leaves no process behind; a process that waits for a hung driver cannot even be killed, and is left."""
        self.process.join(END_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(END_SECONDS)
        self.connection.close()


def start_worker(settings: ExtractSettings, slot: int, device: str, share: int) -> Worker:
    """Starts a worker process.

    Args:
        settings: Of the run.
        slot: The place of its device among those that were given.
        device: Where it computes.
        share: Of the machine's cores.
    """
    context = worker_context()
    ours, theirs = context.Pipe()
    config = WorkerConfig(settings, device, settings.decoders or share, share, dict(os.environ))
    process = context.Process(target=_serve, args=(theirs, config), daemon=True)
    with _terminal_signals_blocked(), without_main():
        process.start()
    theirs.close()
    return Worker(slot, device, process, ours)


def usable_cores() -> int:
    """Returns how many cores this process may use, which a batch system may have made fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_context() -> ForkServerContext:
    """Returns what worker processes are started with.

    They are forked from a process that has imported torch, so that a second worker does not pay for that again, and
    that has not asked for a GPU, so that each of them can use one.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["featx.extract.workers.worker"])
    return context


@contextlib.contextmanager
def _terminal_signals_blocked() -> Iterator[None]:
    """What is started within never sees Ctrl-C or a hang-up, which reach every process: the run decides what they mean.

    Blocked, not ignored: a signal that comes meanwhile reaches this process after.
    """
    resource_tracker.ensure_running()  # starting it would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, config: WorkerConfig) -> None:
    from .worker import serve  # only the worker loads torch

    serve(connection, config)
