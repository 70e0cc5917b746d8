"""A machine works on the parts of a plan: it takes one, extracts its videos, commits it, and takes the next.

Decoders are never idle between two parts: the videos of the next part are handed out while the last ones of this part
are worked on. Parts are committed by a thread of their own.
"""

from __future__ import annotations

import dataclasses
import os
import random
import socket
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from featx.errors import PartialFailure, printable
from featx.output.console import say, stderr_console
from featx.output.progress import Progress
from featx.signals import DeferSignals
from featx.store.backends.interface import Backend
from featx.store.backends.open import open_backend
from featx.store.failures import Failure
from featx.store.parts.claims import Claim, claim, read_claims, release
from featx.store.parts.committed import committed_parts
from featx.store.parts.plan import PlannedVideo, Plans, read_part, read_plans
from featx.store.schema import StoreHeader
from featx.store.source_files import state_of
from featx.store.writing.checks import problem_of
from featx.store.writing.part_commits import commit_changes, commit_part, open_planned_header
from featx.store.writing.writer import WaitingVideo

from ..plan.settings import ExtractSettings
from ..plan.todo import tried_with
from ..plan.videos import SourceVideo
from ..workers.messages import DeviceLost, VideoDone, VideoFailed
from ..workers.progress import Tally, figures_of
from ..workers.worker_pool import WorkerPool
from .choice import choose_part
from .settings import WorkSettings, part_of_slice, settings_of_machine

POLL_S = 2.0  # between two looks at parts that others work on
MOST_WAITING = 2  # parts whose arrays wait in memory to be committed


@dataclass
class PartInHand:
    """A part whose videos are worked on.

    Attributes:
        number: Of the part.
        began: When, in seconds since 1970.
        planned: Its videos by id, in the order of the plan.
        left: Ids of videos that are not finished.
        videos: Those that are, with their rows.
        failures: Those that failed.
    """

    number: int
    began: float
    planned: dict[str, PlannedVideo]
    left: set[str]
    videos: dict[str, WaitingVideo] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)


@dataclass
class Worked:
    """What a machine has done.

    Attributes:
        parts: That it committed.
        lost: That it did, and that another machine committed first.
        tally: Of videos and frames.
        total: Parts of the plan.
        open: Parts that are not committed by anybody, at the end.
    """

    parts: int
    lost: int
    tally: Tally
    total: int
    open: int


class Station:
    """One machine's share of the work on a store."""

    def __init__(
        self,
        backend: Backend,
        plans: Plans,
        own: WorkSettings,
        settings: ExtractSettings,
        header: StoreHeader,
    ) -> None:
        """Begins with nothing in hand.

        Args:
            backend: The place of the store.
            plans: Those of the store.
            own: How this machine works.
            settings: With which it extracts the plans' videos.
            header: What ``store.json`` says.
        """
        self.name = os.environ.get("FEATX_STATION") or f"{socket.gethostname()}:{os.getpid()}"
        self.tally = Tally()
        self.lost = 0
        self._backend, self._own, self._settings, self._header = backend, own, settings, header
        self._plans = plans
        first, count = part_of_slice(own.part_slice) if own.part_slice is not None else (0, 1)
        self._parts = plans.numbers[first::count]  # that this machine may take
        self._dice = random.Random()
        self._in_hand: dict[int, PartInHand] = {}
        self._part_of: dict[str, PartInHand] = {}
        self._seconds: list[float] = []  # of parts that were finished here
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._commits: list[Future[bool]] = []
        self.committed = 0

    def next_part(self) -> int | None:
        """Returns the part to take now, or None if there is none for this machine at the moment."""
        claims = {} if self._own.part_slice is not None else read_claims(self._backend)
        mine = set(
            self._in_hand
        )  # first: the committing thread takes a part out once it is among the committed
        done = mine | committed_parts(self._backend)
        usual_s = 2 * statistics.median(self._seconds) if self._seconds else 0.0
        stale_s = max(self._own.backup_after, usual_s)
        return choose_part(self._parts, done, claims, time.time(), stale_s, self._dice)

    def open_parts(self) -> int:
        """Returns how many parts nobody has committed, of those that this machine may take."""
        return len(set(self._parts).difference(committed_parts(self._backend)))

    def videos(self) -> Iterator[SourceVideo]:
        """Yields the videos of one part after another, as they are asked for."""
        while (number := self.next_part()) is not None:
            part = PartInHand(number, time.time(), {}, set())
            self._in_hand[number] = part
            claim(self._backend, number, Claim(self.name, part.began))
            sources = []
            for planned in read_part(self._backend, self._plans.of(number), number):
                part.planned[planned.id] = planned
                if planned.refused:
                    part.failures.append(_failure(planned, "find", planned.refused, "not opened"))
                    self.tally.failed += 1
                else:
                    part.left.add(planned.id)
                    self._part_of[planned.id] = part
                    sources.append(_source_of(planned))
            if not part.left:
                self._commit(part)
            yield from sources

    def done(self, message: VideoDone) -> None:
        """Takes a video's rows; a damaged one that is kept fails besides, and is finished then."""
        part, video = self._part_of[message.video.id], message.video
        if problem := problem_of(message.rows, self._header.fingerprint):
            failure = Failure(video.id, str(video.path), "store", problem, "nothing of it is stored", [])
            self.failed(failure)
            return
        instead_of = part.planned[video.id].instead_of
        part.videos[video.id] = WaitingVideo(video.id, message.rows, message.video_info, instead_of)
        self.tally.added += 1
        if message.video_info.complete:
            self._finish(part, video.id)

    def failed(self, failure: Failure) -> None:
        """Takes the news that a video failed."""
        part = self._part_of[failure.id]
        source = _source_of(part.planned[failure.id])
        failure = dataclasses.replace(failure, path=source.recorded_path, root=source.root)
        if (state := state_of(source.path)) is not None:
            failure = dataclasses.replace(failure, size_bytes=state.size_bytes, mtime_ns=state.mtime_ns)
        if failure.id in part.videos or part.planned[failure.id].instead_of:  # some of it is kept
            failure = dataclasses.replace(failure, tried_with=tried_with(self._settings))
        part.failures.append(failure)
        self.tally.failed += 1
        self.tally.failures.append(failure)
        self._finish(part, failure.id)

    def wait_for_commits(self) -> None:
        """Waits until what is whole is committed.

        Raises:
            FeatxError: If the place cannot be written.
        """
        for commit in self._commits:
            commit.result()
        self._commits = []

    def close(self) -> None:
        """Commits what is whole, and lets others take the rest."""
        self._committer.shutdown(wait=True)
        for number in list(self._in_hand):
            release(self._backend, number)

    def _finish(self, part: PartInHand, video_id: str) -> None:
        part.left.discard(video_id)
        self._part_of.pop(video_id, None)
        self.tally.finished += 1
        if not part.left:
            self._commit(part)

    def _commit(self, part: PartInHand) -> None:
        while len(self._commits) >= MOST_WAITING:
            self._commits.pop(0).result()
        self._commits.append(self._committer.submit(self._put, part))

    def _put(self, part: PartInHand) -> bool:
        seconds = time.time() - part.began
        videos = [part.videos[video_id] for video_id in part.planned if video_id in part.videos]
        made_by = {"station": self.name, "began": round(part.began, 3), "seconds": round(seconds, 3)}
        won = commit_part(self._backend, self._header, part.number, videos, part.failures, made_by)
        self._seconds.append(seconds)
        release(self._backend, part.number)
        self._in_hand.pop(part.number, None)
        if won:
            self.committed += 1
        else:
            self.lost += 1
        return won


def work(place: str, own: WorkSettings) -> Worked:
    """Works on the parts of a store until none is left for this machine.

    Args:
        place: Folder or URL of a store with a plan.
        own: How this machine works.

    Raises:
        FeatxError: If there is no plan, the machine would compute other features, or the place cannot be written.
    """
    backend = open_backend(place)
    plans = read_plans(backend)
    settings = settings_of_machine(plans.settings, own)
    console = stderr_console()
    station: Station | None = None
    began = time.monotonic()
    try:
        while True:
            with WorkerPool(settings) as pool:
                header = open_planned_header(
                    backend, pool.ready.fingerprint, settings.format, pool.ready.model_source
                )
                commit_changes(backend, plans)
                station = station or Station(backend, plans, own, settings, header)
                _work_once(station, pool, settings, place, plans.videos, began)
                station.wait_for_commits()
            if pool.losses:
                raise pool.losses
            if not station.open_parts() or own.part_slice is not None:
                break
            say(f"{place}: other machines work on the last parts", console)
            while station.open_parts() and station.next_part() is None:
                time.sleep(POLL_S)
            if not station.open_parts():
                break
    finally:
        if station is not None:
            station.close()
    station.tally.seconds = time.monotonic() - began
    open_parts = len(plans.open_parts(committed_parts(backend)))
    return Worked(station.committed, station.lost, station.tally, plans.parts, open_parts)


def _work_once(
    station: Station, pool: WorkerPool, settings: ExtractSettings, place: str, videos: int, began: float
) -> None:
    """Runs the workers until there is no part to take at the moment."""
    console = stderr_console()
    for line in pool.remarks:
        say(line, console)
    tally = station.tally
    with (
        DeferSignals(only_first=True) as signals,
        Progress(place, videos, "videos", settings.quiet, console) as bar,
    ):
        for message in pool.work(station.videos()):
            if isinstance(message, VideoDone):
                station.done(message)
            elif isinstance(message, VideoFailed):
                failure = message.failure
                line = f"failed: {printable(failure.path)}: {printable(failure.error)} ({failure.outcome})"
                say(line, console, "failed", id=failure.id, error=failure.error, outcome=failure.outcome)
                station.failed(failure)
            elif isinstance(message, DeviceLost):
                say(
                    f"--device {message.device} is given up: {printable(message.error)}; the others go on",
                    console,
                )
            tally.seconds = time.monotonic() - began
            tally.frames = pool.counts
            bar.show(tally.finished, figures_of(tally))
            if signals.came is not None:
                break


def _source_of(planned: PlannedVideo) -> SourceVideo:
    return SourceVideo(planned.id, Path(planned.path), planned.root, planned.below)


def _failure(planned: PlannedVideo, stage: str, error: str, outcome: str) -> Failure:
    return Failure(
        planned.id,
        planned.below or planned.path,
        stage,
        error,
        outcome,
        [],
        root=planned.root,
        size_bytes=planned.size_bytes,
    )


def check_done(worked: Worked, place: str) -> None:
    """Ends the command as failed if videos failed.

    Raises:
        PartialFailure: If videos failed.
    """
    if worked.tally.failed:
        raise PartialFailure(
            f"{worked.tally.failed} videos failed; featx store status {place} lists those of all machines"
        )
