"""From proposals to detections: each proposal's clips against the class texts, and the two scores made one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from featx.features.clips import ClipSampling
from featx.features.dataset import rows_between
from featx.features.sources import RowSpans, Source
from featx.localisation.detection_scores import ScoredDetections, score_detections, score_proposals
from featx.localisation.ground_truth import GroundTruth
from featx.localisation.metrics.intervals import Detections, join_detections
from featx.localisation.proposals_file import Proposals
from featx.manifest.videos import Video
from featx.model.adapter import Adapter
from featx.scoring.clip_scores import VIDEOS_AT_ONCE, score_videos


def class_probabilities(
    adapter: Adapter,
    text: Tensor,
    source: Source,
    video: int,
    pts: np.ndarray,
    start_s: np.ndarray,
    end_s: np.ndarray,
    sampling: ClipSampling,
    proposals_at_once: int = VIDEOS_AT_ONCE,
) -> np.ndarray:
    """Says what each proposal of a video shows, as evaluation says it of whole videos.

    Args:
        adapter: What was learned.
        text: (C, D) text features of unit length.
        source: Features.
        video: Index of the video there.
        pts: (N,) when its rows are shown, in seconds as the proposals are.
        start_s: (P,) begins of the proposals.
        end_s: (P,) ends.
        sampling: The clips of each proposal.
        proposals_at_once: Proposals that go through the adapter together.

    Returns:
        (P, C) float64 probabilities.
    """
    first_rows, rows = rows_between(pts, start_s, end_s)
    spans = RowSpans(np.full(len(rows), video, dtype=np.int64), first_rows, rows)
    return score_videos(adapter, text, source, spans, sampling, proposals_at_once)


def fuse(
    proposal_scores: np.ndarray, class_scores: np.ndarray, proposal_weight: float, top_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Makes detections of proposals: the ``top_classes`` best classes of each, scored by a weighted geometric mean.

    score = proposal score ** w * class probability ** (1 - w). With w = 0.5 it is the square root of the product, so
    that detections are in the same order as by the product.

    Args:
        proposal_scores: (P,) between 0 and 1.
        class_scores: (P, C) between 0 and 1.
        proposal_weight: w.
        top_classes: K, classes that each proposal is said to show.

    Returns:
        (P * K,) int64 index of each detection's proposal, (P * K,) int64 class, (P * K,) score; a proposal's
        detections one after another, its best class first (of equal classes the lower one).

    Raises:
        ValueError: If a score is not between 0 and 1.
    """
    for scores in (proposal_scores, class_scores):
        if not ((scores >= 0) & (scores <= 1)).all():
            raise ValueError("scores must be between 0 and 1")
    count = min(top_classes, class_scores.shape[1])
    labels = np.argsort(-class_scores, axis=1, kind="stable")[:, :count]  # (P, K)
    chosen = np.take_along_axis(class_scores, labels, axis=1)
    fused = proposal_scores[:, None] ** proposal_weight * chosen ** (1 - proposal_weight)
    return np.repeat(np.arange(len(labels)), count), labels.ravel(), fused.ravel()


def localise(
    videos: Sequence[Video],
    proposals: Mapping[str, Proposals],
    score: Callable[[Video, np.ndarray, np.ndarray], np.ndarray],
    classes: int,
    proposal_weight: float,
    top_classes: int,
) -> Detections:
    """Makes detections of the proposals of some videos; a video without proposals has none.

    Args:
        videos: V videos.
        proposals: Of each video, by its id.
        score: From a video and (P,) begins and ends to (P, C or more) class probabilities; those of the background come
            last and are left out.
        classes: C.
        proposal_weight: See `fuse`.
        top_classes: See `fuse`.

    Raises:
        ValueError: If a proposal's score is more than 1, and counts.
    """
    parts = []
    for number, video in enumerate(videos):
        found = proposals.get(video.id)
        if found is None or not len(found):
            continue
        surely = found.score if proposal_weight else np.ones(len(found))
        chances = score(video, *within(video, found))[:, :classes]
        index, labels, fused = fuse(surely, chances, proposal_weight, top_classes)
        where = np.full(len(index), number, dtype=np.int64)
        parts.append(Detections(where, found.start_s[index], found.end_s[index], labels, fused))
    return join_detections(parts)


def within(video: Video, found: Proposals) -> tuple[np.ndarray, np.ndarray]:
    """Returns (P,) begins and (P,) ends of proposals inside their video: what lies outside a part is of other parts."""
    if video.part_of is None:
        return found.start_s, found.end_s
    length_s = video.part_end_s - video.part_start_s
    return found.start_s.clip(0, length_s), found.end_s.clip(0, length_s)


def annotated_proposals(truth: GroundTruth) -> dict[str, Proposals]:
    """Returns the annotated instances as proposals, surely: what perfect proposals would be (an upper bound)."""
    found = {}
    for number, video_id in enumerate(truth.video_ids):
        of_video = truth.instances.choose(truth.instances.videos == number)
        spans = np.unique(np.stack([of_video.start_s, of_video.end_s]), axis=1)
        found[video_id] = Proposals(spans[0], spans[1], np.ones(spans.shape[1]))
    return found


def as_detections(videos: Sequence[Video], proposals: Mapping[str, Proposals]) -> Detections:
    """Returns proposals as detections of one class, for the metrics of proposals alone."""
    parts = []
    for number, video in enumerate(videos):
        found = proposals.get(video.id)
        if found is not None:
            where, label = np.full(len(found), number), np.zeros(len(found), dtype=np.int64)
            parts.append(Detections(where, found.start_s, found.end_s, label, found.score))
    return join_detections(parts)


def proposal_metrics(
    videos: Sequence[Video], proposals: Mapping[str, Proposals], truth: GroundTruth, scored: ScoredDetections
) -> dict[str, float]:
    """Returns what the proposals alone are worth: average recall, and average precision as if all were one class."""
    alone = as_detections(videos, proposals)
    recall = score_proposals(alone, truth).metrics
    one_class = replace(
        truth.instances, labels=np.zeros(len(truth.instances), dtype=truth.instances.labels.dtype)
    )
    agnostic = score_detections(alone, replace(truth, instances=one_class), scored.rule, scored.thresholds)
    return {f"proposals_{name}": value for name, value in recall.items()} | {
        "proposals_average_map": agnostic.precision.average
    }
