"""One extraction: videos are found, workers make their features, this process writes them into the store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from featx.errors import FeatxError, printable
from featx.output.console import say, stderr_console
from featx.output.progress import Progress
from featx.signals import DeferSignals
from featx.store.failures import Failure, FailureList
from featx.store.source_files import recorded_file
from featx.store.writing.writer import BadVideo, StoreWriter

from .parts.plan_and_work import goes_by_parts, plan_and_work
from .plan.settings import ExtractSettings
from .plan.todo import find_todo, lines_about, tried_with
from .plan.videos import find_videos
from .remarks import Remarks
from .workers.messages import DeviceLost, VideoDone, VideoFailed
from .workers.progress import Tally, figures_of, summary, write_stats
from .workers.worker_pool import WorkerPool


@contextlib.contextmanager
def _put_in_order(writer: StoreWriter, failures: FailureList, gone_failures: list[str]) -> Iterator[None]:
    """At the end, whatever ended it, commits what is whole, and strikes off the list what no longer fails."""

    def put_in_order() -> None:
        writer.commit()
        complete = {video_id for video_id, complete in writer.done.items() if complete}
        failures.tidy(complete.union(gone_failures))

    try:
        yield
    except BaseException:
        with contextlib.suppress(FeatxError):  # a full disk: what was said first says it better
            put_in_order()
        raise
    put_in_order()


def extract_videos(inputs: list[Path], to: Path, settings: ExtractSettings) -> tuple[Tally, Path | None]:
    """Extracts all videos that are not in the store yet, or whose files have changed since.

    Returns:
        What was done, and the file that lists failures; none where they stand in the records of parts.

    Raises:
        FeatxError: If inputs, settings and store do not go together, or the disk is full.
    """
    if goes_by_parts(to, settings):
        return plan_and_work(inputs, to, settings)
    console = stderr_console()
    found = find_videos(inputs, settings.follow_links, settings.hidden, settings.also)
    for line in found.left_out:
        say(line, console)
    with (
        WorkerPool(settings) as worker_pool,
        StoreWriter(
            to,
            worker_pool.ready.fingerprint,
            settings.format,
            worker_pool.ready.model_source,
            int(settings.shard_mib * 2**20),
            settings.commit_seconds,
        ) as writer,
    ):
        for line in worker_pool.remarks:
            say(line, console)
        failures = FailureList(to, writer.index.failures)
        todo = find_todo(found, writer.index, failures, settings, lambda line: say(line, console))
        for line in lines_about(todo, to, len(found.videos)):
            say(line, console)
        changes = todo.changes
        # At once: what is not true any more must not be read while the new rows are computed.
        writer.amend(changes.drops, changes.updates, changes.root_moves)
        tried = {video.id for video in todo.videos}
        there = sum(video.id in writer.done and video.id not in tried for video in found.videos)
        tally = Tally(there, accepted=len(todo.accepted))
        sources = {video.id: video for video in todo.videos}

        def fail(failure: Failure) -> None:
            tally.failed += 1
            if (video := sources.get(failure.id)) is not None:
                size_bytes, mtime_ns = todo.states[video.id] or (None, None)
                failure = replace(
                    failure,
                    path=video.recorded_path,
                    root=video.root,
                    size_bytes=size_bytes,
                    mtime_ns=mtime_ns,
                )
            if failure.id in writer.done:  # some of it is kept
                failure = replace(failure, tried_with=tried_with(settings))
            failures.record(failure)
            tally.failures.append(failure)
            shown = printable(recorded_file(failure))
            line = f"failed: {shown}: {printable(failure.error)} ({failure.outcome})"
            say(line, console, "failed", id=failure.id, error=failure.error, outcome=failure.outcome)

        for failure in todo.refused:
            fail(failure)
        enough = settings.max_failures + len(todo.refused) if settings.max_failures else 0
        remarks = Remarks(settings)
        began = time.monotonic()
        # A signal waits until a message is dealt with, and all that is whole is committed. A second one does not, as a
        # worker may hang; only a commit is never interrupted.
        with (
            DeferSignals(only_first=True) as signals,
            _put_in_order(writer, failures, todo.gone_failures),
            Progress(str(to), len(todo.videos), "videos", settings.quiet, console) as bar,
        ):
            for message in worker_pool.work(todo.videos):
                if isinstance(message, VideoDone):
                    try:
                        is_kept = writer.done.get(message.video.id) is False  # a damaged one, tried again
                        writer.add(message.video.id, message.rows, message.video_info, replaces=is_kept)
                        tally.added += 1
                        remarks.note(message.video.id, message.video_info)
                    except BadVideo as error:
                        path, outcome = str(message.video.path), "nothing of it is stored"
                        fail(Failure(message.video.id, path, "store", str(error), outcome, []))
                    tally.finished += message.video_info.complete
                elif isinstance(message, VideoFailed):
                    fail(message.failure)
                    tally.finished += 1
                elif isinstance(message, DeviceLost):
                    line = (
                        f"--device {message.device} is given up: {printable(message.error)}; the others go on"
                    )
                    say(line, console)
                if 0 < enough <= tally.failed:
                    worker_pool.finish()
                writer.commit_if_due()
                tally.seconds = time.monotonic() - began
                tally.frames = worker_pool.counts
                bar.show(tally.finished, figures_of(tally))
                if signals.came is not None:
                    break
    for line in remarks.lines():
        say(line, console)
    say(summary(to, tally), console)
    if settings.stats is not None:
        write_stats(settings.stats, tally, settings.model_dump(mode="json"))
    if worker_pool.losses:
        raise FeatxError(
            f"{worker_pool.losses}; the other devices did its videos, see the line above"
        ) from worker_pool.losses
    if 0 < enough <= tally.failed:
        raise FeatxError(
            f"--max-failures {settings.max_failures}: reached; what was whole is in {to}, and {failures.file} lists "
            "what failed"
        )
    return tally, failures.file
