"""`featx work`: does parts of a plan on this machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from featx.errors import FeatxError, PartialFailure
from featx.help_pages import CommandLine
from featx.output.console import say
from featx.settings import gather, with_options
from featx.signals import interruptible

from .settings import WorkSettings

app = CommandLine()


@app.command()
@with_options(WorkSettings)
def work(
    store: Annotated[str, typer.Argument(help="Store with a plan, made by featx plan: a folder or a URL.")],
    **options: Any,
) -> None:
    """Extracts the parts of STORE's plan that are not done, until all are. Run it on as many machines as you like.

    Machines need no connection to each other. One that is killed loses the parts in its hands; others do them. Exit codes:
    0 success, 2 wrong use, 3 some videos failed, 130 interrupted.

    Examples:
        featx work /shared/features
        featx work /shared/features --device cuda:0
        featx work s3://bucket/k700 --part-slice 3/16
        featx work s3://bucket/k700 --engine ray --address 10.0.0.1:6379
    """
    settings = gather(WorkSettings, None, options, [])
    if settings.engine == "ray":
        _work_on_ray(store, settings)
        return
    from .work import check_done
    from .work import work as work_on

    with interruptible(f"stopped; every whole part is in {store}. Run the same command again to go on"):
        worked = work_on(store, settings)
    tally = worked.tally
    rate = tally.frames.frames_encoded / max(tally.seconds, 1e-9)
    lost = f", {worked.lost} that another machine had first" if worked.lost else ""
    left = (
        f"; {worked.open} of {worked.total} are not done yet"
        if worked.open
        else f"; all {worked.total} are done"
    )
    say(
        f"{store}: {worked.parts} parts done here{lost}{left}; {tally.added} videos, {tally.frames.frames_encoded} frames in "
        f"{tally.seconds:.1f} s ({rate:.0f} frames/s, limit: {tally.frames.limit}), {tally.failed} failed"
    )
    check_done(worked, store)


def _work_on_ray(store: str, settings: WorkSettings) -> None:
    from .ray_engine import work_on_ray

    if settings.part_slice is not None:
        raise FeatxError("--part-slice: a Ray cluster does all parts; leave it or --engine ray out")
    with interruptible(f"stopped; every whole part is in {store}. Run the same command again to go on"):
        status = work_on_ray(store, settings)
    failed = sum(len(part.failures) for part in status.done)
    videos = sum(part.videos for part in status.done)
    say(f"{store}: all {status.plans.parts} parts are done; {videos} videos, {failed} failed")
    if failed:
        raise PartialFailure(f"{failed} videos failed; featx store status {store} lists them")
