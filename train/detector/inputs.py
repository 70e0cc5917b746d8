"""What a detector learns from: videos on their grids, and when something happens in each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from featx.errors import FeatxError
from featx.features.dataset import OUTSIDE_WAY, present_videos, timed_rows
from featx.localisation.detector import Detector
from featx.localisation.grid import Grid, make_grid
from featx.manifest.videos import Manifest, Span, Video, read_manifest
from featx.store.reader import FeatureStore

from ..adapter.inputs import choose_seen
from ..adapter.sampler import keep_back
from .settings import ProposalSettings, config_of


@dataclass(frozen=True)
class GridVideo:
    """A video as the detector sees it; times are in points of its grid.

    Attributes:
        id: Its id.
        stored: Id of the stored video that it is, or is a part of.
        first_row: Where it begins there.
        pts: (N,) when its rows are shown, in seconds as its segments are.
        grid: Its steps.
        segments: (S, 2) begins and ends of what happens.
        ambiguous: (A, 2) likewise, where annotators did not agree.
    """

    id: str
    stored: str
    first_row: int
    pts: np.ndarray
    grid: Grid
    segments: np.ndarray
    ambiguous: np.ndarray


@dataclass(frozen=True)
class ProposalInputs:
    """All that a run starts from, read and checked; nothing is written yet.

    Attributes:
        store: Features.
        manifest: Segments and splits; only those of its classes are learned.
        videos: The training split's.
        missing: Ids of those that the store lacks.
        idle: Ids of those in which nothing happens that is learned; they are left out.
        kept_back: (V,) bool, the videos that validate.
        detector: Untrained.
    """

    store: FeatureStore
    manifest: Manifest
    videos: list[GridVideo]
    missing: list[str]
    idle: list[str]
    kept_back: np.ndarray
    detector: Detector


def prepare(settings: ProposalSettings) -> ProposalInputs:
    """Reads and checks what a run starts from.

    Raises:
        FeatxError: If store and manifest do not belong together, or nothing is to be learned.
    """
    store = FeatureStore(settings.store)
    whole = read_manifest(settings.manifest)
    manifest = choose_seen(whole, settings)
    videos, missing, idle = list_videos(store, manifest, settings)
    learned = {video.id for video in manifest.split(settings.train_split)}
    idle += [video.id for video in whole.split(settings.train_split) if video.id not in learned]
    kept_back = keep_back(np.zeros(len(videos)), settings.validation, settings.seed)
    if settings.validation and not kept_back.any():
        raise FeatxError(f"--validation {settings.validation}: there is one video only; leave it out")
    torch.manual_seed(settings.seed)  # the start values are the only numbers that torch draws
    detector = Detector(config_of(settings), store.header.fingerprint.width)
    return ProposalInputs(store, manifest, videos, missing, idle, kept_back, detector)


def list_videos(
    store: FeatureStore, manifest: Manifest, settings: ProposalSettings
) -> tuple[list[GridVideo], list[str], list[str]]:
    """Lays grids over the training split's videos.

    Returns:
        Videos with segments; ids of those that the store lacks, or whose segments are all before the first or after the
        last row; and ids of those without segments.

    Raises:
        FeatxError: If no video has segments, or the store covers less than half of them.
    """
    if not any(video.segments for video in manifest.split(settings.train_split)):
        raise FeatxError(
            f"{manifest.file}: no video of split '{settings.train_split}' has segments; proposals are learned from them"
        )
    present, missing = present_videos(store, manifest, settings.train_split)
    videos, idle, uncovered = [], [], []
    for video in present:
        if not video.segments:
            idle.append(video.id)
            continue
        one = lay_grid(store, manifest, video, settings)
        if len(one.segments):
            videos.append(one)
        else:
            uncovered.append(video.id)
    if len(uncovered) >= len(videos):
        raise FeatxError(
            f"{store.path}: in {len(uncovered)} of {len(uncovered) + len(videos)} videos all segments of {manifest.file} are "
            f"before the first or after the last row, '{uncovered[0]}' first; {OUTSIDE_WAY}"
        )
    return videos, missing + uncovered, idle


def lay_grid(store: FeatureStore, manifest: Manifest, video: Video, settings: ProposalSettings) -> GridVideo:
    """Returns a video on its grid; segments before its first row or after its last are left out."""
    first_row, pts = timed_rows(store, manifest, video)
    grid = make_grid(pts, settings.grid_step_s, settings.grid_steps)
    return GridVideo(
        video.id,
        video.stored_id,
        first_row,
        pts,
        grid,
        _in_points(grid, video.segments),
        _in_points(grid, video.ambiguous),
    )


def _in_points(grid: Grid, spans: list[Span] | list[Any]) -> np.ndarray:
    seconds = np.array([(span.start_s, span.end_s) for span in spans], dtype=np.float64).reshape(-1, 2)
    seconds = seconds[(seconds[:, 0] < grid.end_s) & (seconds[:, 1] >= grid.start_s)]
    return grid.points_of(np.clip(seconds, grid.start_s, grid.end_s))


def identity(settings: ProposalSettings, inputs: ProposalInputs) -> dict[str, Any]:
    """Returns what must be equal for a checkpoint to be gone on from: settings, features, classes, videos."""
    listed = json.dumps(
        [
            [video.id, video.first_row, len(video.pts), video.segments.tolist(), video.ambiguous.tolist()]
            for video in inputs.videos
        ]
    ).encode()
    return {
        "settings": settings.lasting(),
        "features": inputs.store.header.fingerprint.model_dump(),
        "classes": inputs.manifest.header.classes,
        "videos": len(inputs.videos),
        "list of videos": hashlib.sha256(listed).hexdigest()[:12],
    }
