"""One extraction: videos are found, workers make their features, this process writes them into the store."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from featx.errors import FeatxError, printable
from featx.extract.crew import Crew
from featx.extract.messages import Failed, Lost, Whole
from featx.extract.pipeline import Counts
from featx.extract.progress import ProgressBar, summary, write_stats
from featx.extract.settings import ExtractSettings
from featx.extract.videos import find_videos
from featx.store.failures import Failure, FailureList
from featx.store.writer import BadVideo, StoreWriter


@dataclass
class Tally:
    """What a run has done so far.

    A damaged video that is kept counts as added and as failed, but is finished once.
    """

    there_already: int = 0
    added: int = 0
    failed: int = 0
    finished: int = 0
    seconds: float = 0.0
    frames: Counts = field(default_factory=Counts)


def extract_videos(inputs: list[Path], to: Path, settings: ExtractSettings) -> tuple[Tally, Path]:
    """Extracts all videos that are not in the store yet.

    Returns:
        What was done, and the file that lists failures.

    Raises:
        FeatxError: If inputs, settings and store do not go together, or the disk is full.
    """
    console = Console(stderr=True, soft_wrap=True)
    found = find_videos(inputs, settings.follow_links)
    with (
        Crew(settings) as crew,
        StoreWriter(
            to,
            crew.ready.fingerprint,
            settings.format,
            crew.ready.model_source,
            int(settings.shard_mib * 2**20),
            settings.commit_seconds,
        ) as writer,
    ):
        failures = FailureList(to)
        todo = [video for video in found.videos if video.id not in writer.done]
        tally = Tally(there_already=len(found.videos) - len(todo))
        if tally.there_already:
            console.print(f"{tally.there_already} of {len(found.videos)} videos are in {to} already")

        def fail(failure: Failure) -> None:
            tally.failed += 1
            failures.record(failure)
            line = f"failed: {printable(failure.path)}: {printable(failure.error)} ({failure.outcome})"
            console.print(line, markup=False, highlight=False)

        for failure in found.refused:
            fail(failure)
        enough = settings.max_failures + len(found.refused) if settings.max_failures else 0
        began = time.monotonic()
        try:
            with ProgressBar(console, len(todo)) as bar:
                for message in crew.work(todo):
                    if isinstance(message, Whole):
                        try:
                            writer.add(message.video.id, message.rows, message.facts)
                            tally.added += 1
                        except BadVideo as error:
                            path, outcome = str(message.video.path), "nothing of it is stored"
                            fail(Failure(message.video.id, path, "store", str(error), outcome, []))
                        tally.finished += message.facts.complete
                    elif isinstance(message, Failed):
                        fail(message.failure)
                        tally.finished += 1
                    elif isinstance(message, Lost):
                        line = f"--device {message.device} is given up: {printable(message.error)}; the others go on"
                        console.print(line, markup=False, highlight=False)
                    if 0 < enough <= tally.failed:
                        crew.finish()
                    writer.commit_if_due()
                    tally.seconds = time.monotonic() - began
                    tally.frames = crew.counts
                    bar.update(tally)
        finally:
            failures.tidy({video_id for video_id, complete in writer.done.items() if complete})
    console.print(summary(to, tally))
    if settings.stats is not None:
        write_stats(settings.stats, tally, settings.model_dump(mode="json"))
    if crew.losses:
        raise FeatxError(
            f"{crew.losses}; the other devices did its videos, see the line above"
        ) from crew.losses
    if 0 < enough <= tally.failed:
        raise FeatxError(
            f"--max-failures {settings.max_failures}: reached; what was whole is in {to}, and {failures.file} lists "
            "what failed"
        )
    return tally, failures.file
