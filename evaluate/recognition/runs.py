"""Scoring recognition: the videos of a split against the classes that compete."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from featx.errors import FeatxError
from featx.features.dataset import LabelledVideos, list_labelled
from featx.metrics.recognition import generalised_metrics
from featx.scoring.compose import Measurement, measure_recognition, results_of
from featx.scoring.results import Results

from ..run.eval_setup import EvalSetup, open_setup, scored_model
from ..run.settings import EvalSettings


@dataclass(frozen=True)
class ScoredVideos:
    """What a run said of each video, and the results.

    Attributes:
        setup: The run and what it was scored on.
        videos: Of the split.
        settings: Of the command.
        scores: (V, C) probabilities.
        results: The metrics, and how many videos they are about.
    """

    setup: EvalSetup
    videos: LabelledVideos
    settings: EvalSettings
    scores: np.ndarray
    results: Results


def evaluate(folder: Path, settings: EvalSettings) -> ScoredVideos:
    """Scores one run.

    Args:
        folder: That `featx train` or `featx baseline` made.
        settings: On what it is scored.

    Raises:
        FeatxError: If run, store, manifest and classes do not belong together.
    """
    setup = open_setup(folder, settings)
    run = setup.run
    if run.task != "recognition":
        raise FeatxError(f"{folder}: is about {run.task}; score it with: featx eval {folder}")
    videos = list_labelled(setup.store, setup.manifest, settings.split)
    scores = run.score(setup.store, setup.manifest.header.classes, videos, settings)
    data = setup.scored_data(settings.split, settings.clips if run.uses_clips else 0)
    measured = _measure(setup, videos, scores)
    results = results_of("recognition", scored_model(run, folder, settings), data, measured)
    return ScoredVideos(setup, videos, settings, scores, results)


def _measure(setup: EvalSetup, videos: LabelledVideos, scores: np.ndarray) -> Measurement:
    choice = setup.choice
    measured = measure_recognition(scores, videos).with_left_out(choice.left_out)
    if choice.seen is None or choice.class_set != "all":
        return measured
    is_seen = np.array([label in choice.seen for label in setup.manifest.labels])
    of_groups = generalised_metrics(scores, videos.labels, is_seen)
    return replace(measured, metrics=measured.metrics | of_groups)
