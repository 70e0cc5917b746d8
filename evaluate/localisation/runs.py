"""Scoring localisation runs: proposals, named by what was learned, against the annotated segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from featx.dataset import known_pts, rows_between
from featx.detection_scores import ScoredDetections, score_detections
from featx.errors import FeatxError
from featx.evaluate.asked import Opened, open_asked
from featx.evaluate.predict.classify import WindowScorer, window_scorer
from featx.evaluate.predict.windows import Windows
from featx.evaluate.provenance import trained_on
from featx.evaluate.runs import AdapterRun, BaselineRun
from featx.evaluate.settings import LocaliseSettings
from featx.ground_truth import GroundTruth, manifest_truth
from featx.manifest import Manifest, Video
from featx.metrics.intervals import Detections
from featx.model.localising import annotated_proposals, localise, proposal_metrics
from featx.proposals import GROUND_TRUTH, Proposals, read_proposals
from featx.results import Localisation, Results, Videos
from featx.store.reader import FeatureStore

BACKGROUND_LABEL = "(background)"  # of the text that no detection is of


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
    opened = open_asked(folder, settings)
    if opened.run.method in ("linear-probe", "nearest-mean"):
        raise FeatxError(
            f"{folder}: a {opened.run.method} baseline cannot name segments; take featx baseline zero-shot"
        )
    truth, missing = _truth(opened, settings.split)
    videos = [opened.manifest.by_id[video_id] for video_id in truth.video_ids]
    proposals, notes = choose_proposals(settings.proposals, opened, truth)
    detections = _detect(opened, videos, proposals, settings)
    scored = score_detections(detections, truth, settings.ap, settings.tiou)
    metrics = scored.metrics | proposal_metrics(videos, proposals, truth, scored)
    results = _results(folder, opened, scored, metrics, missing, settings)
    return Localised(opened, videos, proposals, scored, results, notes)


def _truth(opened: Opened, split: str) -> tuple[GroundTruth, list[str]]:
    """Returns what is annotated of the videos that have features, and the ids of those that have none."""
    manifest = opened.manifest
    truth = manifest_truth(manifest, split)
    stored = {video.id for video in manifest.videos if video.stored_id in opened.store}
    missing = [video_id for video_id in truth.video_ids if video_id not in stored]
    if len(missing) == len(truth.video_ids):
        raise FeatxError(
            f"{opened.store.path}: has none of the {len(missing)} videos of split '{split}' of {manifest.file}, "
            f"'{missing[0]}' first"
        )
    present = [video for video in manifest.videos if video.id in stored]
    return manifest_truth(Manifest(manifest.header, present, manifest.file), split), missing


def choose_proposals(
    source: str, opened: Opened, truth: GroundTruth
) -> tuple[Mapping[str, Proposals], list[str]]:
    """Returns the proposals of each video, and what a reader must know of them.

    Args:
        source: A file, or `GROUND_TRUTH`.
        opened: What is scored.
        truth: Its annotations.

    Raises:
        FeatxError: If the file is about other videos, or was made on other features.
    """
    if source == GROUND_TRUTH:
        return annotated_proposals(truth), ["the proposals are the annotated segments: an upper bound"]
    file = Path(source)
    content = read_proposals(file)
    made_on = content.header.fingerprint
    differences = made_on.differences(opened.store.header.fingerprint) if made_on else []
    if differences:
        raise FeatxError(
            f"--proposals {file}: made on other features than {opened.store.path} ({'; '.join(differences)})"
        )
    asked = set(truth.video_ids)
    found = {video_id: proposals for video_id, proposals in content.videos.items() if video_id in asked}
    if not found:
        raise FeatxError(
            f"--proposals {file}: has none of the {len(asked)} videos that are scored; ids there look like "
            f"'{next(iter(content.videos))}', in the manifest like '{truth.video_ids[0]}'"
        )
    notes = []
    if len(found) < len(content.videos):
        notes.append(f"{file}: {len(content.videos) - len(found)} of its videos are not scored")
    if len(found) < len(asked):
        notes.append(
            f"{file}: has no proposals of {len(asked) - len(found)} videos, which count as without detections"
        )
    return found, notes


def with_background(run: AdapterRun | BaselineRun, classes: dict[str, str]) -> dict[str, str]:
    """Returns label and text of the classes, and last the background's if the run has learned one."""
    if isinstance(run, AdapterRun) and run.header.config.background:
        return {**classes, BACKGROUND_LABEL: run.header.config.background}
    return classes


def _detect(
    opened: Opened, videos: list[Video], proposals: Mapping[str, Proposals], settings: LocaliseSettings
) -> Detections:
    classes = with_background(opened.run, opened.manifest.header.classes)
    score = window_scorer(opened.run, opened.store, classes, settings)

    def of_video(video: Video, start_s: np.ndarray, end_s: np.ndarray) -> np.ndarray:
        return score_spans(score, opened.store, opened.manifest, video, start_s, end_s)

    try:
        return localise(
            videos,
            proposals,
            of_video,
            len(opened.manifest.labels),
            settings.proposal_weight,
            settings.top_classes,
        )
    except ValueError as error:
        raise FeatxError(
            f"--proposals {settings.proposals}: {error}; scale them, or leave them out of the score with --proposal-weight 0"
        ) from error


def score_spans(
    score: WindowScorer,
    store: FeatureStore,
    manifest: Manifest,
    video: Video,
    start_s: np.ndarray,
    end_s: np.ndarray,
) -> np.ndarray:
    """Returns (P, C) class probabilities of spans of a video, in seconds from its begin."""
    pts = known_pts(store, video.stored_id, manifest) - video.part_start_s
    first_rows, rows = rows_between(pts, start_s, end_s)
    return score(store[video.stored_id].features, Windows(start_s, end_s, first_rows, rows))


def _results(
    folder: Path,
    opened: Opened,
    scored: ScoredDetections,
    metrics: dict[str, float],
    missing: list[str],
    settings: LocaliseSettings,
) -> Results:
    run, choice, manifest = opened.run, opened.choice, opened.manifest
    return Results(
        task="localisation",
        run=str(folder),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        method=run.method,
        config=run.config,
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
        localisation=Localisation(
            proposals=settings.proposals,
            rule=scored.rule,
            tiou=list(scored.thresholds),
            instances=len(scored.matches.instances),
            proposal_weight=settings.proposal_weight,
            top_classes=settings.top_classes,
        ),
        fingerprint=run.header.fingerprint.model_dump(),
        videos=Videos(scored=len(scored.truth.video_ids), missing=missing, left_out=choice.left_out),
        metrics=metrics,
    )
