"""Proposals that an adapter names, scored on a split: what `featx eval` and `featx sweep` both do.

In this order: `open_split`, `choose_proposals`, `name_and_score`.
"""

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
    PROPOSAL_WEIGHT,
    TOP_CLASSES,
    Proposals,
    check_made_for,
    find_proposals,
    read_proposals,
)
from featx.manifest.videos import Manifest, Video
from featx.scoring.compose import Measurement
from featx.scoring.results import Localisation, Videos
from featx.store.reader import FeatureStore

# A video and (P,) begins and ends, in seconds as its segments are, to (P, C or more) class probabilities.
SpanScorer = Callable[[Video, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class StoredSplit:
    """The annotated videos of a split that have features.

    Attributes:
        store: Features.
        truth: What is annotated of them.
        videos: In the order of ``truth``.
        missing: Ids of the videos that have no features.
    """

    store: FeatureStore
    truth: GroundTruth
    videos: list[Video]
    missing: list[str]


@dataclass(frozen=True)
class ChosenProposals:
    """The proposals that are named.

    Attributes:
        source: A file, or `GROUND_TRUTH`.
        flag: That gave it, for messages.
        of: Of each video, by its id.
        notes: What a reader must know of them.
    """

    source: str
    flag: str
    of: Mapping[str, Proposals]
    notes: list[str]


@dataclass(frozen=True)
class DetectionRules:
    """How detections are made of proposals, and scored.

    Attributes:
        proposal_weight: See `fuse`.
        top_classes: See `fuse`.
        average_precision: Its rule.
        tiou: Overlaps; none for the data set's own.
    """

    proposal_weight: float = PROPOSAL_WEIGHT
    top_classes: int = TOP_CLASSES
    average_precision: str = "official"
    tiou: Sequence[float] = ()


@dataclass(frozen=True)
class NamedProposals:
    """What the detections of a split are worth.

    Attributes:
        scored: The detections, and their average precision.
        measured: Metrics of them and of the proposals alone, and how they were made and scored.
    """

    scored: ScoredDetections
    measured: Measurement


def open_split(store: FeatureStore, manifest: Manifest, split: str) -> StoredSplit:
    """Returns what is annotated of the videos that have features.

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
    return StoredSplit(store, truth, [manifest.by_id[video_id] for video_id in truth.video_ids], missing)


def choose_proposals(source: str, flag: str, split: StoredSplit) -> ChosenProposals:
    """Reads the proposals of a split's videos.

    Args:
        source: A file, or `GROUND_TRUTH`.
        flag: That gave it, for messages.
        split: The videos, and whose features are named.

    Raises:
        FeatxError: If the file is about other videos, or was made on other features.
    """
    truth = split.truth
    if source == GROUND_TRUTH:
        notes = ["the proposals are the annotated segments: an upper bound"]
        return ChosenProposals(source, flag, annotated_proposals(truth), notes)
    file = Path(source)
    content = read_proposals(file)
    check_made_for(flag, file, content.header, truth.data_set, truth.split)
    made_on = content.header.fingerprint
    differences = made_on.differences(split.store.header.fingerprint) if made_on else []
    if differences:
        raise FeatxError(
            f"{flag} {file}: made on other features than {split.store.path} ({'; '.join(differences)})"
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
    return ChosenProposals(source, flag, found, notes)


def name_and_score(
    split: StoredSplit, proposals: ChosenProposals, score: SpanScorer, rules: DetectionRules
) -> NamedProposals:
    """Makes detections of proposals and scores them.

    Args:
        split: The videos and what is annotated of them.
        proposals: Of the videos.
        score: Says what spans of a video show; see `localise`.
        rules: How detections are made and scored.

    Raises:
        FeatxError: If a proposal's score is more than 1, and counts.
    """
    videos, truth = split.videos, split.truth
    try:
        detections = localise(
            videos, proposals.of, score, len(truth.labels), rules.proposal_weight, rules.top_classes
        )
    except ValueError as error:
        raise FeatxError(
            f"{proposals.flag} {proposals.source}: {error}; scale them, or leave them out of the score with "
            "--proposal-weight 0 (of featx eval)"
        ) from error
    scored = score_detections(detections, truth, rules.average_precision, rules.tiou)
    protocol = Localisation(
        proposals=proposals.source,
        rule=scored.rule,
        tiou=list(scored.thresholds),
        instances=len(scored.matches.instances),
        proposal_weight=rules.proposal_weight,
        top_classes=rules.top_classes,
    )
    measured = Measurement(
        Videos(scored=len(videos), missing=split.missing),
        scored.metrics | proposal_metrics(videos, proposals.of, truth, scored),
        localisation=protocol,
    )
    return NamedProposals(scored, measured)
