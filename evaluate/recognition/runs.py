"""Scoring recognition: the videos of a split against the classes that compete."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from featx.errors import FeatxError
from featx.features.dataset import LabelledVideos, list_labelled
from featx.manifest.videos import Manifest
from featx.metrics.recognition import generalised_metrics, recognition_metrics
from featx.scoring.results import Results, Videos
from featx.store.reader import FeatureStore

from ..run.class_sets import ClassChoice
from ..run.eval_setup import open_asked
from ..run.provenance import trained_on
from ..run.runs import AdapterRun, BaselineRun, config_of
from ..run.settings import EvalSettings


@dataclass(frozen=True)
class Asked:
    """A run and what it is to be scored on, read and checked.

    Attributes:
        run: What was learned.
        store: Features.
        manifest: With the classes that compete, and the videos that show them.
        choice: Which classes those are.
        videos: Of the split.
        settings: Of the command.
    """

    run: AdapterRun | BaselineRun
    store: FeatureStore
    manifest: Manifest
    choice: ClassChoice
    videos: LabelledVideos
    settings: EvalSettings


@dataclass(frozen=True)
class Scored:
    """What a run said of each video, and the results.

    Attributes:
        asked: What was scored.
        scores: (V, C) probabilities.
        results: The metrics, and how many videos they are about.
    """

    asked: Asked
    scores: np.ndarray
    results: Results


def prepare(folder: Path, settings: EvalSettings) -> Asked:
    """Reads everything that scoring a run needs.

    Args:
        folder: That `featx train` or `featx baseline` made.
        settings: On what it is scored.

    Raises:
        FeatxError: If run, store, manifest and classes do not belong together.
    """
    opened = open_asked(folder, settings)
    if opened.run.task != "recognition":
        raise FeatxError(f"{folder}: is about {opened.run.task}; score it with: featx eval {folder}")
    videos = list_labelled(opened.store, opened.manifest, settings.split)
    return Asked(opened.run, opened.store, opened.manifest, opened.choice, videos, settings)


def evaluate(folder: Path, settings: EvalSettings) -> Scored:
    """Scores one run.

    Raises:
        FeatxError: As `prepare`.
    """
    asked = prepare(folder, settings)
    scores = asked.run.score(asked.store, asked.manifest.header.classes, asked.videos, settings)
    return Scored(asked, scores, _results(folder, asked, scores))


def _results(folder: Path, asked: Asked, scores: np.ndarray) -> Results:
    run, choice, videos = asked.run, asked.choice, asked.videos
    metrics = recognition_metrics(scores, videos.labels)
    if choice.seen is not None and choice.class_set == "all":
        is_seen = np.array([label in choice.seen for label in asked.manifest.labels])
        metrics |= generalised_metrics(scores, videos.labels, is_seen)
    return Results(
        task="recognition",
        run=str(folder),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        method=run.method,
        config=config_of(run, asked.settings),
        learned_parameters=run.learned_parameters,
        data_set=asked.manifest.header.name,
        manifest=str(asked.manifest.file),
        store=str(asked.store.path),
        split=asked.settings.split,
        clips=asked.settings.clips if run.uses_clips else 0,
        classes=len(asked.manifest.labels),
        class_set=choice.class_set,
        class_split=choice.source,
        classes_as_trained=list(asked.manifest.header.classes.items()) == list(run.header.classes.items()),
        truncated_texts=run.truncated(asked.manifest.header.classes),
        trained_on=trained_on(run),
        fingerprint=run.header.fingerprint.model_dump(),
        videos=Videos(scored=len(videos), missing=videos.missing, left_out=choice.left_out),
        metrics=metrics,
    )
