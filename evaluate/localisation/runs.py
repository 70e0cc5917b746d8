"""Scoring localisation runs: proposals, named by what was learned, against the annotated segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.errors import FeatxError
from featx.features.dataset import known_pts, rows_between
from featx.features.windows import Windows
from featx.localisation.detection_scores import ScoredDetections, check_thresholds, thresholds_notes
from featx.localisation.named_proposals import (
    DetectionRules,
    SpanScorer,
    StoredSplit,
    choose_proposals,
    name_and_score,
    open_split,
)
from featx.localisation.proposals_file import Proposals
from featx.manifest.videos import Manifest, Video
from featx.scoring.compose import results_of
from featx.scoring.results import Results
from featx.store.reader import FeatureStore

from ..run.eval_setup import EvalSetup, open_setup, scored_model
from ..run.settings import LocaliseSettings
from ..run.window_scores import WindowScorer, window_scorer, with_background


@dataclass(frozen=True)
class Localised:
    """What a run said of a split's proposals, and the results.

    Attributes:
        setup: The run and what it was scored on.
        split: The videos that have features, and what is annotated of them.
        proposals: Of each, by its id.
        scored: Its detections, and what they are worth.
        results: As written.
        notes: What a reader must know of the proposals.
    """

    setup: EvalSetup
    split: StoredSplit
    proposals: Mapping[str, Proposals]
    scored: ScoredDetections
    results: Results
    notes: list[str]


def evaluate(folder: Path, settings: LocaliseSettings) -> Localised:
    """Scores one run.

    Args:
        folder: That `featx train` or `featx baseline zero-shot` made.
        settings: On what it is scored, and how.

    Raises:
        FeatxError: If run, store, manifest, classes and proposals do not belong together.
    """
    check_thresholds(settings.tiou)
    setup = open_setup(folder, settings)
    if setup.run.method in ("linear-probe", "nearest-mean"):
        raise FeatxError(
            f"{folder}: a {setup.run.method} baseline cannot name segments; take featx baseline zero-shot"
        )
    split = open_split(setup.store, setup.manifest, settings.split)
    proposals = choose_proposals(settings.proposals, "--proposals", split)
    rules = DetectionRules(settings.proposal_weight, settings.top_classes, settings.ap, settings.tiou)
    named = name_and_score(split, proposals, _scorer(setup, settings), rules)
    results = results_of(
        "localisation",
        scored_model(setup.run, folder, settings),
        setup.scored_data(settings.split, settings.clips),
        named.measured.with_left_out(setup.choice.left_out),
    )
    notes = [*proposals.notes, *thresholds_notes(split.truth.data_set, settings.tiou)]
    return Localised(setup, split, proposals.of, named.scored, results, notes)


def _scorer(setup: EvalSetup, settings: LocaliseSettings) -> SpanScorer:
    classes = with_background(setup.run, setup.manifest.header.classes)
    score = window_scorer(setup.run, setup.store, classes, settings)

    def of_video(video: Video, start_s: np.ndarray, end_s: np.ndarray) -> np.ndarray:
        return score_spans(score, setup.store, setup.manifest, video, start_s, end_s)

    return of_video


def score_spans(
    score: WindowScorer,
    store: FeatureStore,
    manifest: Manifest,
    video: Video,
    start_s: np.ndarray,
    end_s: np.ndarray,
) -> np.ndarray:
    """Returns (P, C) class probabilities of spans of a video, in seconds as its segments are."""
    pts = known_pts(store, video.stored_id, manifest) - video.part_start_s
    first_rows, rows = rows_between(pts, start_s, end_s)
    return score(store[video.stored_id].features, Windows(start_s, end_s, first_rows, rows))
