"""Localisation: proposals as further training segments, of the class that they overlap, or background."""

from __future__ import annotations

import numpy as np

from featx.features.dataset import (
    LabelledVideos,
    join,
    known_pts,
    list_segments,
    present_videos,
    rows_between,
)
from featx.localisation.fuse import within
from featx.localisation.metrics.intervals import temporal_iou
from featx.localisation.proposals_file import Proposals, check_made_for, find_proposals, read_proposals
from featx.manifest.videos import Manifest, Video
from featx.store.reader import FeatureStore

from .sampler import BACKGROUND
from .settings import TrainSettings


def list_training_segments(
    store: FeatureStore, manifest: Manifest, split: str, settings: TrainSettings
) -> LabelledVideos:
    """Lists what a localisation run learns from: annotated segments and, with ``settings.proposals``, proposals too.

    A proposal that overlaps an instance by at least ``match_tiou`` is of its class. One that overlaps none by more than
    ``background_tiou`` is background, whose class comes after all others; of these a share is drawn by the seed.

    Raises:
        FeatxError: As `list_segments`, or if the proposals file has less than half of the split's videos.
    """
    segments = list_segments(store, manifest, split)
    if settings.proposals is None:
        return segments
    content = read_proposals(settings.proposals)
    check_made_for("--proposals", settings.proposals, content.header, manifest.header.name, split)
    present, _ = present_videos(store, manifest, split)
    asked = [video.id for video in present]
    named = set(asked)
    others = [*manifest.others, *(video.id for video in manifest.videos if video.id not in named)]
    place = f"--proposals {settings.proposals}"
    found, _ = find_proposals(content, asked, others, place)
    with_proposals = [video for video in present if video.id in found]
    matched, background = [], []
    for video in with_proposals:
        labels = match_labels(found[video.id], video, manifest, settings.match_tiou, settings.background_tiou)
        pts = known_pts(store, video.stored_id, manifest) - video.part_start_s
        listed = _listed(found[video.id], video, pts, labels)
        matched.append(listed.choose(np.flatnonzero((labels >= 0) & (labels < len(manifest.labels)))))
        background.append(listed.choose(np.flatnonzero(labels == len(manifest.labels))))
    right = join([segments, *matched])
    wrong = join(background)
    wanted = round(len(right) * settings.background_share / (1 - settings.background_share))
    rng = np.random.default_rng([settings.seed, BACKGROUND])
    chosen = np.sort(rng.choice(len(wrong), min(wanted, len(wrong)), replace=False))
    everything = join([right, wrong.choose(chosen)])
    return LabelledVideos(
        everything.ids,
        everything.stored,
        everything.first_rows,
        everything.rows,
        segments.missing,
        everything.labels,
    )


def match_labels(
    proposals: Proposals, video: Video, manifest: Manifest, match_tiou: float, background_tiou: float
) -> np.ndarray:
    """Returns (P,) int64 classes of a video's proposals: of the instance that each overlaps most.

    Args:
        proposals: P of them.
        video: With its instances.
        manifest: With C classes.
        match_tiou: Overlap from which a proposal is of the instance's class.
        background_tiou: Overlap up to which it is background, which is class C. Between the two it is -1: neither.
    """
    background = len(manifest.labels)
    if not video.segments:
        return np.full(len(proposals), background, dtype=np.int64)
    class_index = {label: index for index, label in enumerate(manifest.labels)}
    starts, ends = np.array([(one.start_s, one.end_s) for one in video.segments]).T
    labels = np.array([class_index[one.label] for one in video.segments], dtype=np.int64)
    overlap = np.nan_to_num(
        temporal_iou(proposals.start_s[:, None], proposals.end_s[:, None], starts, ends)
    )  # (P, G)
    best = overlap.max(axis=1)
    unsure = np.where(best <= background_tiou, background, -1)
    return np.where(best >= match_tiou, labels[overlap.argmax(axis=1)], unsure)


def _listed(proposals: Proposals, video: Video, pts: np.ndarray, labels: np.ndarray) -> LabelledVideos:
    first_rows, rows = rows_between(pts, *within(video, proposals))
    return LabelledVideos(
        [f"{video.id}@{number}" for number in range(len(proposals))],
        [video.stored_id] * len(proposals),
        first_rows.astype(np.int64),
        rows.astype(np.int64),
        [],
        labels,
    )
