"""The worker processes of a run: one a device, videos handed out one by one, and what happens when one dies.

The run's own process decodes and encodes nothing and never loads torch; it is the only writer of the store.
A worker that dies (out of memory, a crash in a driver) costs the videos that it had in hand one attempt. Each of
them is then tried alone, in a process of its own, so that the one at fault does not take others with it again.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from featx.errors import FeatxError
from featx.extract.messages import Duty, Failed, Message, Over, Progress, Ready, Want, Whole
from featx.extract.pipeline import Counts
from featx.extract.videos import SourceVideo
from featx.store.failures import Failure

if TYPE_CHECKING:
    from featx.extract.settings import ExtractSettings

END_SECONDS = 10.0


@dataclass
class Worker:
    """One worker process as the run sees it."""

    device: str
    process: BaseProcess
    connection: Connection
    ready: Ready | None = None
    in_hand: dict[str, SourceVideo] = field(default_factory=dict)
    asked: int = 0
    takes_no_more: bool = False
    over: bool = False
    counts: Counts = field(default_factory=Counts)


class Crew:
    """The workers of a run; a context manager that leaves no process behind."""

    def __init__(self, settings: ExtractSettings) -> None:
        """Starts a worker for each device of ``settings.device``.

        Raises:
            FeatxError: If CLIP cannot be loaded, or devices do not compute the same features.
        """
        self._settings = settings
        self._devices = [device.strip() for device in settings.device.split(",")]
        self._context = worker_context()
        self._workers: list[Worker] = []
        self._past = Counts()  # of workers that have ended
        self._todo: deque[SourceVideo] = deque()
        self._suspects: deque[SourceVideo] = deque()
        self._attempts: dict[str, int] = {}
        self._idle_deaths = 0  # with no video in hand that could be at fault

    def __enter__(self) -> Crew:
        try:
            # One after another: the first one may have to download the weights.
            for device in self._devices:
                self._workers.append(self._start(device))
                self._await_ready(self._workers[-1])
        except BaseException:
            self.__exit__()
            raise
        first, *others = self._workers
        for other in others:
            assert first.ready and other.ready
            if differences := first.ready.fingerprint.differences(other.ready.fingerprint):
                self.__exit__()
                raise FeatxError(
                    f"--device {self._settings.device}: these devices would make different features "
                    f"({'; '.join(differences)}); give --precision"
                )
        return self

    @property
    def ready(self) -> Ready:
        """What the first worker said of the features that it makes."""
        ready = self._workers[0].ready
        assert ready is not None
        return ready

    @property
    def counts(self) -> Counts:
        """Frames of all workers so far; the time that encoders starved is their mean."""
        total = replace(self._past)
        for worker in self._workers:
            total.add(worker.counts)
        total.starved_s /= len(self._devices)
        return total

    def work(self, videos: list[SourceVideo]) -> Iterator[Whole | Failed | Progress]:
        """Has the workers do all videos; yields what they hand over, as it comes.

        Raises:
            FeatxError: What a worker could not go on from, such as a full GPU.
        """
        self._todo = deque(videos)
        while self._workers:
            speaking = wait([worker.connection for worker in self._workers], timeout=1.0)
            if not speaking:
                yield Progress(self.counts)
            for connection in speaking:
                worker = next(w for w in self._workers if w.connection is connection)
                try:
                    message: Message = worker.connection.recv()
                except (EOFError, OSError):
                    yield from self._bury(worker)
                    continue
                if isinstance(message, Want):
                    self._hand_out(worker)
                elif isinstance(message, Ready):
                    worker.ready = message
                elif isinstance(message, Over):
                    worker.over = True
                    if message.error is not None:
                        raise FeatxError(f"--device {worker.device}: {message.error}") from message.error
                else:
                    yield from self._take(worker, message)

    def finish(self) -> None:
        """Hands out nothing more; what was begun is finished."""
        self._todo.clear()
        self._suspects.clear()

    def _take(self, worker: Worker, message: Message) -> Iterator[Whole | Failed | Progress]:
        if isinstance(message, Progress):
            worker.counts = message.counts
            yield message
        elif isinstance(message, Whole):
            worker.in_hand.pop(message.video.id, None)
            yield message
        elif isinstance(message, Failed):
            worker.in_hand.pop(message.failure.id, None)
            yield message

    def _hand_out(self, worker: Worker) -> None:
        video = None
        if self._suspects:
            # Alone means in a fresh process that gets nothing else; others that still run end first.
            if not worker.asked:
                video = self._suspects.popleft()
            worker.takes_no_more = True
        elif self._todo and not worker.takes_no_more:
            video = self._todo.popleft()
        worker.asked += 1
        if video is not None:
            worker.in_hand[video.id] = video
        with contextlib.suppress(OSError):  # it may have died meanwhile: its end of the pipe says so next
            worker.connection.send(video)

    def _bury(self, worker: Worker) -> Iterator[Failed]:
        """Lets go of a worker that has ended; what it had in hand when it died is tried again, or fails."""
        worker.process.join(END_SECONDS)
        code = worker.process.exitcode
        self._workers.remove(worker)
        worker.connection.close()
        self._past.add(worker.counts)
        if not worker.over:
            how = _how_it_ended(code)
            if not worker.in_hand:
                self._idle_deaths += 1
                if self._idle_deaths > self._settings.retries:
                    raise FeatxError(f"--device {worker.device}: its process {how} again and again")
            for video in worker.in_hand.values():
                attempts = self._attempts[video.id] = self._attempts.get(video.id, 0) + 1
                if attempts <= self._settings.retries:
                    self._suspects.append(video)
                else:
                    reason = f"the process that worked on it {how}"
                    outcome = "nothing of it is stored"
                    yield Failed(Failure(video.id, str(video.path), "encode", reason, outcome, [], attempts))
        if self._todo or self._suspects:
            self._workers.append(self._start(worker.device))

    def _start(self, device: str) -> Worker:
        ours, theirs = self._context.Pipe()
        cores = os.cpu_count() or 1
        share = max(cores // len(self._devices), 1)
        duty = Duty(self._settings, device, self._settings.decoders or share, share, dict(os.environ))
        process = self._context.Process(target=_serve, args=(theirs, duty), daemon=True)
        process.start()
        theirs.close()
        return Worker(device, process, ours)

    def _await_ready(self, worker: Worker) -> None:
        try:
            message = worker.connection.recv()
        except EOFError:
            worker.process.join(END_SECONDS)
            how = _how_it_ended(worker.process.exitcode)
            raise FeatxError(f"--device {worker.device}: its process {how} before it was ready") from None
        if isinstance(message, Over):
            assert message.error is not None
            raise message.error
        worker.ready = message

    def __exit__(self, *details: object) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(END_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
        self._workers = []


def worker_context() -> ForkServerContext:
    """Returns what worker processes are started with.

    They are forked from a process that has imported torch, so that a second worker does not pay for that again, and
    that has not asked for a GPU, so that each of them can use one.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["featx.extract.worker"])
    return context


def _serve(connection: Connection, duty: Duty) -> None:
    from featx.extract.worker import serve  # only the worker loads torch

    serve(connection, duty)


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"was killed by signal {-code}{hint}"
    return f"ended with status {code}"
