"""`featx predict`: what one's own videos show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.completion import one_of
from featx.errors import FeatxError, PartialFailure, printable
from featx.help_pages import CommandLine
from featx.output.console import say
from featx.settings import gather, with_options
from featx.signals import interruptible

from ..run.settings import PredictSettings

app = CommandLine()
FORMAT_NAMES = ("table", "json", "csv")  # `FORMATS` of .output, which loads more


@app.command()
@with_options(PredictSettings)
def predict(
    videos: Annotated[
        list[Path] | None, typer.Argument(help="Video files, or folders of them. Leave out with --store.")
    ] = None,
    ids: Annotated[
        list[str] | None, typer.Option("--ids", help="Id of a video in --store. May be given several times.")
    ] = None,
    format: Annotated[
        str,
        typer.Option(help="Output format: table, json or csv.", autocompletion=one_of(FORMAT_NAMES)),
    ] = "table",
    **options: Any,
) -> None:
    """Classifies VIDEOS: prints the best classes with their probabilities, of whole videos or of sliding windows.

    With --detector it prints segments instead, each with its class and score.

    Features are computed as in training and deleted afterwards; use featx extract and --store to keep them.
    Exit codes: 0 success, 2 wrong use, 3 some videos could not be decoded, 130 interrupted.

    Examples:
        featx predict holiday.mp4 --adapter runs/mine
        featx predict holiday.mp4 --adapter runs/mine --window 10 --hop 5 --format csv
        featx predict lecture.mp4 --adapter runs/segments --detector runs/detector
    """
    settings = gather(PredictSettings, None, options, [])
    if bool(videos) == (settings.store is not None):
        raise FeatxError("give either VIDEOS or --store STORE")
    if ids and settings.store is None:
        raise FeatxError(f"--ids {ids[0]}: needs --store")
    from featx.store.reader import FeatureStore

    from ..run.runs import open_run
    from .classify import Prediction, check_task, check_windows, predict, read_classes, warn_of_cut_texts
    from .output import check_output, render_predictions
    from .segments import predict_segments
    from .temporary_features import extracted, list_files

    check_output(format)
    check_windows(settings)
    run = open_run(settings.adapter, settings.trust_code, settings.model)
    check_task(run, settings)
    if settings.detector is not None and settings.window is not None:
        raise FeatxError("--window: leave it or --detector out")

    def answer(store: FeatureStore, of_store: list[str]) -> list[Prediction]:
        if settings.detector is not None:
            return list(predict_segments(run, settings.detector, store, of_store, classes, settings))
        return list(predict(run, store, of_store, classes, settings))

    classes = read_classes(run, settings.classes_file)
    warn_of_cut_texts(run, classes)
    listed = list_files(videos or [])
    for line in listed.left_out:
        say(printable(line))
    failures = dict(listed.failures)
    with interruptible("stopped; nothing was kept"):
        if settings.store is not None:
            store = FeatureStore(settings.store)
            predictions = answer(store, ids or list(store))
        elif not listed.files:
            predictions = []
        else:
            model = settings.model or run.header.model_source
            with extracted(listed.files, run.header.fingerprint, model, settings.device) as found:
                failures |= found.failures
                predictions = answer(found.store, found.ids)
    print(
        render_predictions(
            predictions, failures, format, settings.window is not None or settings.detector is not None
        )
    )
    for video, error in failures.items():
        say(f"failed: {printable(video)}: {printable(error)}", event="failed", id=video, error=error)
    if failures:
        raise PartialFailure(
            f"{len(failures)} of {len(listed.files) + len(listed.failures)} videos could not be decoded; they are listed above"
        )
