"""Scoring a file of detections, whoever made it, on a manifest or on ActivityNet's JSON."""

from __future__ import annotations

from pathlib import Path

from featx.errors import FeatxError
from featx.files.atomic import write_atomically
from featx.localisation.detection_scores import (
    check_thresholds,
    score_detections,
    score_proposals,
    thresholds_notes,
)
from featx.localisation.detections_file import DetectionsFile, read_detections
from featx.localisation.ground_truth import GroundTruth, json_truth, manifest_truth, read_blocked
from featx.localisation.metrics.average_precision import ACTIVITYNET_TIOU
from featx.manifest.videos import read_manifest

from ..report.localisation_tables import (
    class_table,
    coverage,
    detections_table,
    errors_table,
    proposals_table,
)
from ..report.table import Table
from .settings import DetectionSettings


def evaluate_detections(settings: DetectionSettings) -> list[Table]:
    """Scores a file and returns the tables that were asked for; lists missing videos beside the file.

    Raises:
        FeatxError: If files and settings do not belong together, or a file is not as it should be.
    """
    check_thresholds(settings.tiou)
    if settings.as_proposals and (settings.per_class or settings.errors):
        raise FeatxError(
            "--as-proposals: proposals have no classes; --per-class and --errors go with detections"
        )
    truth = read_truth(settings)
    read = read_detections(
        settings.detections,
        truth,
        labelled=not settings.as_proposals,
        ignore_unknown_videos=settings.ignore_unknown_videos,
        ignore_unknown_labels=settings.ignore_unknown_labels,
    )
    missing_file = list_missing(settings.detections, read, truth)
    scored_of, notes = coverage(settings.detections, read, truth, missing_file)
    name = settings.detections.name
    if settings.as_proposals:
        proposals = score_proposals(read.detections, truth, settings.tiou or ACTIVITYNET_TIOU)
        return [proposals_table(proposals, name, scored_of, notes)]
    scored = score_detections(read.detections, truth, settings.ap, settings.tiou)
    notes += thresholds_notes(truth.data_set, settings.tiou)
    tables = [detections_table(scored, name, scored_of, notes)]
    if settings.per_class:
        tables.append(class_table(scored))
    if settings.errors:
        tables.append(errors_table(scored))
    return tables


def read_truth(settings: DetectionSettings) -> GroundTruth:
    """Reads what is scored on.

    Raises:
        FeatxError: If it cannot be read, or does not have the split.
    """
    blocked = read_blocked(settings.blocked_videos) if settings.blocked_videos else None
    file = settings.ground_truth
    if file.suffix == ".jsonl":
        return manifest_truth(read_manifest(file), settings.split, blocked)
    return json_truth(file, settings.split, blocked)


def list_missing(file: Path, read: DetectionsFile, truth: GroundTruth) -> Path:
    """Writes the ids of videos that a file does not name beside it, as NAME.missing.txt; removes an older list.

    Raises:
        FeatxError: If the list cannot be written.
    """
    missing = [video_id for video_id, seen in zip(truth.video_ids, read.seen, strict=True) if not seen]
    to = file.with_name(f"{file.stem}.missing.txt")
    try:
        to.unlink(missing_ok=True)
        if missing:
            write_atomically(to, "".join(f"{video_id}\n" for video_id in missing).encode())
    except OSError as error:
        raise FeatxError(f"{to}: cannot write the list of missing videos ({error.strerror})") from error
    return to
