"""Scoring what was learned as `featx eval` does, and what results say of it."""

from __future__ import annotations

from pathlib import Path

import torch

from featx.features.clips import CLIPS
from featx.features.dataset import LabelledVideos
from featx.features.sources import RowSpans
from featx.manifest.videos import Manifest
from featx.model.adapter import Adapter
from featx.scoring.clip_scores import score_videos
from featx.scoring.compose import Measurement, ScoredData, ScoredModel, measure_recognition
from featx.scoring.results import TrainedOn

from ..engine.ranks import Ranks
from .inputs import SharedResources
from .settings import TrainSettings


def score(
    adapter: Adapter,
    shared: SharedResources,
    manifest: Manifest,
    videos: LabelledVideos,
    settings: TrainSettings,
    ranks: Ranks,
) -> Measurement:
    """Scores an adapter on videos, against the classes of a manifest."""
    adapter = adapter.to(ranks.device)
    with torch.no_grad():
        tower = shared.tower(ranks.device)  # in full precision, as featx eval does
        plan = adapter.plan(tower.format, list(manifest.header.classes.values())).to(ranks.device)
        text = adapter.encode_texts(tower, plan)  # (C, D)
    source = shared.source(videos, settings, ranks)
    scores = score_videos(adapter, text, source, RowSpans.whole(videos.rows), settings.clip_sampling)
    return measure_recognition(scores, videos)


def scored_model(adapter: Adapter, run: Path, shared: SharedResources, trained_on: TrainedOn) -> ScoredModel:
    """Returns what results say of an adapter, or of several of one kind.

    Args:
        adapter: One of them.
        run: Folder of the results.
        shared: What they were learned with.
        trained_on: What they learned from.
    """
    learned = adapter.parameter_count()
    return ScoredModel(
        run=str(run),
        method="adapter" if learned or adapter.config.model_code else "zero-shot",
        config=adapter.config.for_results(),
        learned_parameters=learned,
        fingerprint=shared.store.header.fingerprint,
        trained_on=trained_on if learned else None,
    )


def scored_data(
    adapter: Adapter, shared: SharedResources, manifest: Manifest, split: str, unseen_of: str | None = None
) -> ScoredData:
    """Returns what results say of what an adapter was scored on.

    Args:
        adapter: Whose texts may be too long.
        shared: What it was scored with.
        manifest: Whose classes competed.
        split: That was scored.
        unseen_of: The class split whose unseen classes they are; None if they are all.
    """
    return ScoredData(
        store=shared.store,
        manifest=manifest,
        split=split,
        clips=CLIPS,
        classes=len(manifest.labels),
        class_set="unseen" if unseen_of else "all",
        class_split=unseen_of,
        truncated_texts=len(
            adapter.plan(shared.text_format, list(manifest.header.classes.values())).truncated
        ),
    )
