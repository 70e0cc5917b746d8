"""`featx extract` into a store at a URL, or by a cluster: a plan of what there is to do, and the work on it, in one."""

from __future__ import annotations

import time
from pathlib import Path

from featx.errors import FeatxError
from featx.output.console import say
from featx.store.backends.open import open_backend
from featx.store.failures import Failure
from featx.store.index import StoreIndex, read_header
from featx.store.mirror import local_folder, url_of
from featx.store.parts.committed import committed_parts
from featx.store.parts.plan import find_plans

from ..plan.settings import ExtractSettings, MachineSettings
from ..workers.progress import Tally, summary, write_stats
from .planning import line_about, plan_store
from .settings import WorkSettings
from .work import work

# What only makes sense where one process writes all shards.
OF_ONE_WRITER = ("shard_mib", "commit_seconds", "max_failures")


def goes_by_parts(to: Path, settings: ExtractSettings) -> bool:
    """Tells whether an extraction is planned and worked on in parts: into a store at a URL, or by a cluster."""
    return url_of(to) is not None or settings.engine != "local"


def plan_and_work(inputs: list[Path], to: Path, settings: ExtractSettings) -> tuple[Tally, None]:
    """Extracts all videos that are not in the store yet, or whose files have changed since, part by part.

    What an earlier command has planned and not done is done first.

    Args:
        inputs: Folders, video files or manifests.
        to: Folder or URL of the store.
        settings: What the features are, and how this machine computes them.

    Returns:
        What was done, and nothing where `extract_videos` names the file of failures: those stand in the store's records.

    Raises:
        FeatxError: If inputs, settings and store do not go together, or the store cannot be written.
    """
    place = url_of(to) or str(to)
    for name in OF_ONE_WRITER:
        if getattr(settings, name) != ExtractSettings.model_fields[name].default:
            flag = name.replace("_", "-")
            raise FeatxError(f"--{flag}: does not go with a store in parts; leave it out (see --part-frames)")
    backend = open_backend(place)
    tally = Tally()
    began = time.monotonic()
    plans, done_before = find_plans(backend), committed_parts(backend)
    if still_open := plans.open_parts(done_before):
        say(f"{place}: {len(still_open)} of {plans.parts} parts are planned and not done; they come first")
        _work(place, settings, tally)
    planned = plan_store(inputs, place, settings, settings.part_frames)
    say(line_about(planned, place, by_itself=True))
    tally.there_already, tally.accepted = planned.there, planned.accepted
    if planned.plan is not None:
        _work(place, settings, tally)
    tally.failures = planned.still_refused + _failures_of_parts_not_in(done_before, place)
    tally.failed = len(tally.failures)
    tally.seconds = time.monotonic() - began
    say(summary(place, tally))
    if settings.stats is not None:
        write_stats(settings.stats, tally, settings.model_dump(mode="json"))
    return tally, None


def _work(place: str, settings: ExtractSettings, tally: Tally) -> None:
    """Does all open parts, and adds to the tally what was done."""
    own = WorkSettings(**settings.model_dump(include=set(MachineSettings.model_fields)))
    if settings.engine == "ray":
        from .ray_engine import work_on_ray

        done = committed_parts(open_backend(place))
        status = work_on_ray(place, own)
        new = [part for part in status.done if part.number not in done]
        tally.added += sum(part.videos for part in new)
        tally.frames.frames_encoded += sum(part.rows for part in new)
        return
    worked = work(place, own).tally
    tally.added += worked.added
    tally.frames.add(worked.frames)


def _failures_of_parts_not_in(done_before: set[int], place: str) -> list[Failure]:
    """Returns the failures of parts that were committed since, by whichever machine, and that no later one has made good."""
    folder = local_folder(Path(place))
    index = StoreIndex(folder, read_header(folder))
    return [Failure(**stated) for part, stated in index.failures.values() if part not in done_before]
