"""Proposals that an adapter names, scored on a split: what `featx eval` and `featx sweep` both do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.errors import FeatxError
from featx.features.dataset import list_segments
from featx.localisation.detection_scores import ScoredDetections, score_detections
from featx.localisation.fuse import annotated_proposals, localise, proposal_metrics
from featx.localisation.ground_truth import GroundTruth, manifest_truth
from featx.localisation.proposals_file import (
    GROUND_TRUTH,
    Proposals,
    check_made_for,
    find_proposals,
    read_proposals,
)
from featx.manifest.videos import Manifest, Video
from featx.scoring.results import Localisation
from featx.store.reader import FeatureStore


@dataclass(frozen=True)
class NamedProposals:
    """What the detections of a split are worth.

    Attributes:
        scored: The detections, and their average precision.
        metrics: Of them, and of the proposals alone; fractions of 1.
        protocol: How they were made and scored.
    """

    scored: ScoredDetections
    metrics: dict[str, float]
    protocol: Localisation


def stored_truth(store: FeatureStore, manifest: Manifest, split: str) -> tuple[GroundTruth, list[str]]:
    """Returns what is annotated of the videos that have features, and the ids of those that have none.

    Raises:
        FeatxError: If the split has no segment, the store has none of its videos, or half of the segments or more are
            outside the rows.
    """
    truth = manifest_truth(manifest, split)
    stored = {video.id for video in manifest.videos if video.stored_id in store}
    missing = [video_id for video_id in truth.video_ids if video_id not in stored]
    if len(missing) == len(truth.video_ids):
        raise FeatxError(
            f"{store.path}: has none of the {len(missing)} videos of split '{split}' of {manifest.file}, "
            f"'{missing[0]}' first"
        )
    present = [video for video in manifest.videos if video.id in stored]
    truth = manifest_truth(manifest.part(present), split)
    list_segments(store, manifest, split)  # refuses segments that are elsewhere: nothing could find them
    return truth, missing


def choose_proposals(
    source: str, flag: str, store: FeatureStore, truth: GroundTruth
) -> tuple[Mapping[str, Proposals], list[str]]:
    """Returns the proposals of each video, and what a reader must know of them.

    Args:
        source: A file, or `GROUND_TRUTH`.
        flag: That gave it, for messages.
        store: Whose features are named.
        truth: What is annotated.

    Raises:
        FeatxError: If the file is about other videos, or was made on other features.
    """
    if source == GROUND_TRUTH:
        return annotated_proposals(truth), ["the proposals are the annotated segments: an upper bound"]
    file = Path(source)
    content = read_proposals(file)
    check_made_for(flag, file, content.header, truth.data_set, truth.split)
    made_on = content.header.fingerprint
    differences = made_on.differences(store.header.fingerprint) if made_on else []
    if differences:
        raise FeatxError(
            f"{flag} {file}: made on other features than {store.path} ({'; '.join(differences)})"
        )
    found, unscored = find_proposals(
        content, truth.video_ids, [*truth.other_splits, *truth.excluded], f"{flag} {file}"
    )
    notes = []
    if unscored:
        notes.append(f"{file}: {len(unscored)} of its videos are not scored, '{unscored[0]}' first")
    lacking = [video_id for video_id in truth.video_ids if video_id not in found]
    if lacking:
        notes.append(
            f"{file}: has no proposals of {len(lacking)} videos, which count as without detections: "
            f"'{lacking[0]}'{' first' if len(lacking) > 1 else ''}"
        )
    return found, notes


def name_and_score(
    videos: Sequence[Video],
    proposals: Mapping[str, Proposals],
    score: Callable[[Video, np.ndarray, np.ndarray], np.ndarray],
    truth: GroundTruth,
    source: str,
    flag: str,
    proposal_weight: float,
    top_classes: int,
    rule: str,
    tiou: Sequence[float] | None = None,
) -> NamedProposals:
    """Makes detections of proposals and scores them.

    Args:
        videos: Those of ``truth``.
        proposals: Of each, by its id.
        score: Says what spans of a video show; see `localise`.
        truth: What is annotated.
        source: Where the proposals come from, for the results.
        flag: That gave it, for messages.
        proposal_weight: See `fuse`.
        top_classes: See `fuse`.
        rule: Of average precision.
        tiou: Overlaps; else the data set's own.

    Raises:
        FeatxError: If a proposal's score is more than 1, and counts.
    """
    try:
        detections = localise(videos, proposals, score, len(truth.labels), proposal_weight, top_classes)
    except ValueError as error:
        raise FeatxError(
            f"{flag} {source}: {error}; scale them, or leave them out of the score with --proposal-weight 0 (of featx eval)"
        ) from error
    scored = score_detections(detections, truth, rule, tiou)
    protocol = Localisation(
        proposals=source,
        rule=scored.rule,
        tiou=list(scored.thresholds),
        instances=len(scored.matches.instances),
        proposal_weight=proposal_weight,
        top_classes=top_classes,
    )
    return NamedProposals(
        scored, scored.metrics | proposal_metrics(videos, proposals, truth, scored), protocol
    )
