"""Classifying one's own videos, one at a time, so that neither many nor long ones fill the memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

import numpy as np

from featx.errors import FeatxError
from featx.features.dataset import check_fingerprint
from featx.features.video_ends import lengths_of
from featx.features.windows import Windows, slide, whole
from featx.manifest.class_lists import read_class_names
from featx.output.console import warn
from featx.store.reader import FeatureStore

from ..run.runs import AdapterRun, BaselineRun
from ..run.settings import PredictSettings
from ..run.window_scores import window_scorer


@dataclass(frozen=True)
class Prediction:
    """What is said of a video, or of a window of it.

    Attributes:
        video: Its id or path.
        start_s: Where the window begins, in seconds; the video's begin if there are no windows. None if the store
            does not know times, as of imported features.
        end_s: Where it ends, likewise.
        best: Classes and their probabilities, the best first.
    """

    video: str
    start_s: float | None
    end_s: float | None
    best: list[tuple[str, float]]


def read_classes(run: AdapterRun | BaselineRun, file: Path | None) -> dict[str, str]:
    """Returns the classes that compete: label to text.

    Raises:
        FeatxError: If there are none.
    """
    if file is None:
        if not run.header.classes:
            raise FeatxError(f"{run.file}: has no list of classes; give one with --classes-file")
        return run.header.classes
    if run.method in ("linear-probe", "nearest-mean"):
        raise FeatxError(
            f"--classes-file {file}: a {run.method} baseline knows only the classes that it has learned"
        )
    return read_class_names(file, "--classes-file", run.header.classes)


def check_windows(settings: PredictSettings) -> None:
    """Refuses windows that would leave parts of a video out.

    Raises:
        FeatxError: Naming the flag.
    """
    if settings.hop is not None and settings.window is None:
        raise FeatxError(f"--hop {settings.hop}: needs --window")
    if settings.window is not None and settings.hop is not None and settings.hop > settings.window:
        raise FeatxError(
            f"--hop {settings.hop}: is more than --window {settings.window}, so parts of the video would not be looked at"
        )


def check_task(run: AdapterRun | BaselineRun, settings: PredictSettings) -> None:
    """Refuses a run that does not classify whole videos, unless the settings say of what.

    Raises:
        FeatxError: Naming the flag.
    """
    if run.task == "retrieval":
        raise FeatxError(f"{settings.adapter}: matches sentences, not classes; take featx search")
    if run.task == "localisation" and settings.detector is None and settings.window is None:
        raise FeatxError(f"{settings.adapter}: names segments; give --detector RUN, or --window SECONDS")


def warn_of_cut_texts(run: AdapterRun | BaselineRun, classes: dict[str, str]) -> None:
    """Says which class texts are too long for CLIP, of which only the beginning is looked at."""
    cut = [label for label, text in classes.items() if run.truncated({label: text})]
    if cut:
        warn(
            f"{len(cut)} of {len(classes)} class texts are longer than CLIP's 77 tokens and were cut at the end: "
            f"'{shorten(cut[0], 60, placeholder='…')}' first"
        )


@dataclass(frozen=True)
class ScoredWindows:
    """A video, its windows, and (M, C) probabilities of the classes in each; ``timed`` says whether times are known."""

    video: str
    timed: bool
    windows: Windows
    scores: np.ndarray


def score_windows(
    run: AdapterRun | BaselineRun,
    store: FeatureStore,
    ids: Sequence[str],
    classes: dict[str, str],
    settings: PredictSettings,
) -> Iterator[ScoredWindows]:
    """Scores windows of videos, or whole videos.

    Args:
        run: What was learned.
        store: Features.
        ids: Videos.
        classes: That compete, label to text.
        settings: How.

    Raises:
        FeatxError: If run and store do not belong together, or the store lacks a video.
    """
    check_fingerprint(run.header.fingerprint, store, run.file)
    score = window_scorer(run, store, classes, settings)
    for video_id, length_s in zip(ids, lengths_of(store, ids).tolist(), strict=True):
        video = store[video_id]
        timed = bool(np.isfinite(video.pts).all())
        if settings.window is None:
            windows = whole(video.pts if timed else np.zeros(len(video)), length_s)
        elif timed:
            windows = slide(video.pts, settings.window, settings.hop or settings.window / 2, length_s)
        else:
            raise FeatxError(
                f"{store.path}: does not know when the rows of '{video_id}' are shown; leave --window out"
            )
        yield ScoredWindows(video_id, timed, windows, score(video.features, windows))


def predict(
    run: AdapterRun | BaselineRun,
    store: FeatureStore,
    ids: Sequence[str],
    classes: dict[str, str],
    settings: PredictSettings,
) -> Iterator[Prediction]:
    """Classifies videos of a store, with the arguments and errors of `score_windows`."""
    labels = list(classes)
    for scored in score_windows(run, store, ids, classes, settings):
        for number, chances in enumerate(scored.scores):
            order = np.argsort(-chances, kind="stable")[: settings.top]
            best = [(labels[index], float(chances[index])) for index in order]
            start_s, end_s = float(scored.windows.start_s[number]), float(scored.windows.end_s[number])
            timed = scored.timed
            yield Prediction(scored.video, start_s if timed else None, end_s if timed else None, best)
