"""The worker processes of a run: one a device, videos handed out one by one, and what happens when one dies.

The run's own process decodes and encodes nothing and never loads torch; it is the only writer of the store.
A worker that dies (out of memory, a crash in a driver) costs the videos that it had in hand one attempt. Each of
them is then tried alone, in a process of its own, so that the one at fault does not take others with it again.
A device that fails (an error of its driver, no memory left) is given up: the others take its videos and finish, and the
run says so in the end.
"""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from featx.errors import FeatxError
from featx.output.console import say
from featx.signals import DeferSignals
from featx.store.failures import Failure

from ..plan.videos import SourceVideo
from .messages import (
    DeviceLost,
    FrameCounts,
    Message,
    RequestVideo,
    VideoDone,
    VideoFailed,
    WorkerExit,
    WorkerProgress,
    WorkerReady,
    WorkerSays,
    WorkerStarting,
)
from .worker_process import Worker, start_worker, usable_cores

if TYPE_CHECKING:
    from ..plan.settings import ExtractSettings


class WorkerPool:
    """The workers of a run; a context manager that leaves no process behind."""

    def __init__(self, settings: ExtractSettings) -> None:
        """Starts a worker for each device of ``settings.device``.

        Raises:
            FeatxError: If CLIP cannot be loaded, or devices do not compute the same features.
        """
        self._settings = settings
        self._devices = [device.strip() for device in settings.device.split(",")]
        self._workers: list[Worker] = []
        self._past = FrameCounts()  # of workers that have ended
        self._todo: deque[SourceVideo] = deque()
        self._more: Iterator[SourceVideo] = iter(())
        self._suspects: deque[SourceVideo] = deque()
        self._attempts: dict[str, int] = {}
        self._idle_deaths: Counter[int] = Counter()  # with no video in hand that could be at fault, by slot
        self._lost: dict[int, Exception] = {}  # slots whose device was given up

    def __enter__(self) -> WorkerPool:
        try:
            # One after another: the first one may have to download the weights.
            for slot in range(len(self._devices)):
                self._workers.append(self._start(slot))
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
    def ready(self) -> WorkerReady:
        """What the first worker said of the features that it makes."""
        ready = self._workers[0].ready
        assert ready is not None
        return ready

    @property
    def remarks(self) -> list[str]:
        """What workers said before they began, each thing once, with its devices."""
        said: dict[str, list[str]] = {}
        for worker in self._workers:
            if worker.ready and worker.ready.remark:
                said.setdefault(worker.ready.remark, []).append(worker.device)
        return [f"{remark} (--device {','.join(devices)})" for remark, devices in said.items()]

    @property
    def counts(self) -> FrameCounts:
        """Frames of all workers so far; the time that encoders starved is their mean."""
        total = replace(self._past)
        for worker in self._workers:
            total.add(worker.counts)
        total.starved_s /= len(self._devices)
        total.batch_s /= len(self._devices)
        total.result_s /= len(self._devices)
        return total

    @property
    def losses(self) -> FeatxError | None:
        """What happened to the devices that were given up, or None."""
        if not self._lost:
            return None
        told = "; ".join(_naming_device(self._devices[slot], error) for slot, error in self._lost.items())
        return FeatxError(told)

    def work(
        self, videos: Iterable[SourceVideo]
    ) -> Iterator[VideoDone | VideoFailed | WorkerProgress | DeviceLost]:
        """Has the workers do all videos; yields what they hand over, as it comes.

        Args:
            videos: What there is to do; it is asked for the next one when a decoder is free.

        Raises:
            FeatxError: What the last device could not go on from, such as a full GPU.
        """
        self._todo, self._more = deque(), iter(videos)
        while self._workers:
            speaking = wait([worker.connection for worker in self._workers], timeout=1.0)
            if not speaking:
                yield WorkerProgress(self.counts)
            for connection in speaking:
                worker = next(w for w in self._workers if w.connection is connection)
                try:
                    message: Message = worker.connection.recv()
                except (EOFError, OSError):
                    yield from self._remove_ended(worker)
                    continue
                if isinstance(message, RequestVideo):
                    self._send_video(worker)
                elif isinstance(message, WorkerReady | WorkerStarting | WorkerSays):
                    _note(worker, message)
                elif isinstance(message, WorkerExit):
                    worker.has_exited, worker.error = True, message.error
                else:
                    yield from self._take(worker, message)
            for worker in [each for each in self._workers if each.seconds_left == 0.0]:
                worker.error = worker.late
                worker.process.kill()
                yield from self._remove_ended(worker)

    def finish(self) -> None:
        """Hands out nothing more; what was begun is finished."""
        self._more = iter(())
        self._todo.clear()
        self._suspects.clear()

    def _take(self, worker: Worker, message: Message) -> Iterator[VideoDone | VideoFailed | WorkerProgress]:
        if isinstance(message, WorkerProgress):
            worker.counts = message.counts
            yield message
        elif isinstance(message, VideoDone):
            worker.in_hand.pop(message.video.id, None)
            yield message
        elif isinstance(message, VideoFailed):
            worker.in_hand.pop(message.failure.id, None)
            yield message

    def _send_video(self, worker: Worker) -> None:
        video = None
        if self._suspects:
            # Alone means in a fresh process that gets nothing else; others that still run end first.
            if not worker.requests:
                video = self._suspects.popleft()
            worker.takes_no_more = True
        elif not worker.takes_no_more and self._has_more():
            video = self._todo.popleft()
        worker.requests += 1
        if video is not None:
            worker.in_hand[video.id] = video
        with contextlib.suppress(OSError):  # it may have died meanwhile: its end of the pipe says so next
            worker.connection.send(video)

    def _remove_ended(self, worker: Worker) -> Iterator[VideoFailed | DeviceLost]:
        """Lets go of a worker that has ended; what it had in hand when it died is tried again, or fails."""
        how = worker.how_it_ended
        self._workers.remove(worker)
        worker.connection.close()
        self._past.add(worker.counts)
        if not worker.has_exited and worker.error is None:
            if not worker.in_hand:
                self._idle_deaths[worker.slot] += 1
                if self._idle_deaths[worker.slot] > self._settings.retries:
                    worker.error = FeatxError(f"its process {how} again and again")
            for video in worker.in_hand.values():
                attempts = self._attempts[video.id] = self._attempts.get(video.id, 0) + 1
                if attempts <= self._settings.retries:
                    self._suspects.append(video)
                else:
                    reason = f"the process that worked on it {how}"
                    outcome = "nothing of it is stored"
                    yield VideoFailed(
                        Failure(video.id, str(video.path), "encode", reason, outcome, [], attempts)
                    )
        if worker.error is not None:
            yield from self._give_up(worker, worker.error)
        if self._suspects or self._has_more():
            self._start_again(worker.slot)

    def _has_more(self) -> bool:
        """Tells whether there is a video that nobody has, and has it ready."""
        if not self._todo and (video := next(self._more, None)) is not None:
            self._todo.append(video)
        return bool(self._todo)

    def _give_up(self, worker: Worker, error: Exception) -> Iterator[DeviceLost]:
        """Takes a device out of the run; its videos are not at fault, and go to the others."""
        self._lost[worker.slot] = error
        self._todo.extendleft(reversed(worker.in_hand.values()))
        if len(self._lost) == len(self._devices):
            assert self.losses
            raise self.losses from error
        yield DeviceLost(worker.device, error, len(worker.in_hand))

    def _start_again(self, slot: int) -> None:
        """Puts a worker in the place of one that ended, on the same device if it is a good one."""
        if slot in self._lost:
            if self._workers:
                return  # they take what is left, or come here when they end
            slot = next(slot for slot in range(len(self._devices)) if slot not in self._lost)
        self._workers.append(self._start(slot))

    def _start(self, slot: int) -> Worker:
        share = max(usable_cores() // len(self._devices), 1)
        return start_worker(self._settings, slot, self._devices[slot], share)

    def _await_ready(self, worker: Worker) -> None:
        while worker.ready is None:
            if not worker.connection.poll(worker.seconds_left):
                raise worker.late
            try:
                message = worker.connection.recv()
            except EOFError:
                how = worker.how_it_ended
                raise FeatxError(f"--device {worker.device}: its process {how} before it was ready") from None
            if isinstance(message, WorkerExit):
                assert message.error is not None
                raise FeatxError(_naming_device(worker.device, message.error)) from message.error
            _note(worker, message)

    def __exit__(self, *details: object) -> None:
        with DeferSignals():
            for worker in self._workers:
                worker.process.terminate()
            for worker in self._workers:
                worker.end()
            self._workers = []


def _note(worker: Worker, message: WorkerReady | WorkerStarting | WorkerSays) -> None:
    if isinstance(message, WorkerSays):
        say(message.line)
    else:
        worker.note_state(message)


def _naming_device(device: str, error: Exception) -> str:
    """Returns an error with the option in front, once."""
    return str(error) if str(error).startswith("--") else f"--device {device}: {error}"
