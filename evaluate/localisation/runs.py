"""Scoring localisation runs: proposals, named by what was learned, against the annotated segments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from featx.errors import FeatxError
from featx.features.dataset import known_pts, rows_between
from featx.features.windows import Windows
from featx.localisation.detection_scores import ScoredDetections, check_thresholds, thresholds_notes
from featx.localisation.named_proposals import NamedProposals, choose_proposals, name_and_score, stored_truth
from featx.localisation.proposals_file import Proposals
from featx.manifest.videos import Manifest, Video
from featx.scoring.results import Results, Videos
from featx.store.reader import FeatureStore

from ..run.eval_setup import Opened, open_asked
from ..run.provenance import trained_on
from ..run.runs import config_of
from ..run.settings import LocaliseSettings
from ..run.window_scores import WindowScorer, window_scorer, with_background


@dataclass(frozen=True)
class Localised:
    """What a run said of a split's proposals, and the results.

    Attributes:
        opened: The run and what it was scored on.
        videos: Of the split, those that have features.
        proposals: Of each, by its id.
        scored: Its detections, and what they are worth.
        results: As written.
        notes: What a reader must know of the proposals.
    """

    opened: Opened
    videos: list[Video]
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
    opened = open_asked(folder, settings)
    if opened.run.method in ("linear-probe", "nearest-mean"):
        raise FeatxError(
            f"{folder}: a {opened.run.method} baseline cannot name segments; take featx baseline zero-shot"
        )
    truth, missing = stored_truth(opened.store, opened.manifest, settings.split)
    videos = [opened.manifest.by_id[video_id] for video_id in truth.video_ids]
    proposals, notes = choose_proposals(settings.proposals, "--proposals", opened.store, truth)
    named = name_and_score(
        videos,
        proposals,
        _scorer(opened, settings),
        truth,
        settings.proposals,
        "--proposals",
        settings.proposal_weight,
        settings.top_classes,
        settings.ap,
        settings.tiou,
    )
    results = _results(folder, opened, named, missing, settings)
    notes = [*notes, *thresholds_notes(truth.data_set, settings.tiou)]
    return Localised(opened, videos, proposals, named.scored, results, notes)


def _scorer(
    opened: Opened, settings: LocaliseSettings
) -> Callable[[Video, np.ndarray, np.ndarray], np.ndarray]:
    classes = with_background(opened.run, opened.manifest.header.classes)
    score = window_scorer(opened.run, opened.store, classes, settings)

    def of_video(video: Video, start_s: np.ndarray, end_s: np.ndarray) -> np.ndarray:
        return score_spans(score, opened.store, opened.manifest, video, start_s, end_s)

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


def _results(
    folder: Path, opened: Opened, named: NamedProposals, missing: list[str], settings: LocaliseSettings
) -> Results:
    run, choice, manifest = opened.run, opened.choice, opened.manifest
    return Results(
        task="localisation",
        run=str(folder),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        method=run.method,
        config=config_of(run, settings),
        learned_parameters=run.learned_parameters,
        data_set=manifest.header.name,
        manifest=str(manifest.file),
        store=str(opened.store.path),
        split=settings.split,
        clips=settings.clips,
        classes=len(manifest.labels),
        class_set=choice.class_set,
        class_split=choice.source,
        classes_as_trained=list(manifest.header.classes.items()) == list(run.header.classes.items()),
        truncated_texts=run.truncated(manifest.header.classes),
        trained_on=trained_on(run),
        localisation=named.protocol,
        fingerprint=run.header.fingerprint.model_dump(),
        videos=Videos(scored=len(named.scored.truth.video_ids), missing=missing, left_out=choice.left_out),
        metrics=named.metrics,
    )
