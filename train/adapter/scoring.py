"""Scoring what was learned as `featx eval` does, and the results that are means of several such scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import torch

from featx.features.dataset import LabelledVideos
from featx.features.sources import RowSpans
from featx.manifest.videos import Manifest
from featx.metrics.recognition import recognition_metrics
from featx.model.adapter import Adapter
from featx.scoring.clip_scores import score_videos
from featx.scoring.results import Results, Videos

from ..engine.ranks import Ranks
from .inputs import SharedResources
from .settings import TrainSettings


@dataclass(frozen=True)
class SplitScores:
    """What an adapter scored on some videos.

    Attributes:
        videos: How many were scored, and which were missing.
        metrics: As in `Results`.
        protocol: Further fields of `Results` that say how it was scored.
    """

    videos: Videos
    metrics: dict[str, float]
    protocol: dict[str, Any] = field(default_factory=dict)


def score(
    adapter: Adapter,
    shared: SharedResources,
    manifest: Manifest,
    videos: LabelledVideos,
    settings: TrainSettings,
    ranks: Ranks,
) -> SplitScores:
    """Scores an adapter on videos, against the classes of a manifest."""
    adapter = adapter.to(ranks.device)
    with torch.no_grad():
        plan = adapter.plan(list(manifest.header.classes.values())).to(ranks.device)
        text = adapter.encode_texts(
            shared.tower(ranks.device), plan
        )  # (C, D), in full precision as featx eval does
    source = shared.source(videos, settings, ranks)
    scores = score_videos(adapter, text, source, RowSpans.whole(videos.rows), settings.clip_sampling)
    return SplitScores(
        Videos(scored=len(videos), missing=videos.missing), recognition_metrics(scores, videos.labels)
    )


def results_of(
    adapter: Adapter,
    shared: SharedResources,
    manifest: Manifest,
    settings: TrainSettings,
    scored: SplitScores,
    **about: Any,
) -> Results:
    """Returns results of an adapter, or of several of one kind.

    Args:
        adapter: One of them.
        shared: What they were scored with.
        manifest: Whose classes competed.
        settings: They were learned with.
        scored: What they scored.
        about: Other fields of `Results`, such as ``run``; ``trained_on`` where something was learned.
    """
    learned = adapter.parameter_count()
    plan = adapter.plan(list(manifest.header.classes.values()))
    if not learned:
        about["trained_on"] = None
    return Results(
        task=settings.task,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        method="adapter" if learned else "zero-shot",
        config=adapter.config.model_dump(),
        learned_parameters=learned,
        data_set=manifest.header.name,
        manifest=str(settings.manifest),
        store=str(settings.store),
        clips=settings.clip_sampling.clips,
        classes=len(manifest.labels),
        truncated_texts=len(plan.truncated),
        fingerprint=shared.store.header.fingerprint.model_dump(),
        videos=scored.videos,
        metrics=scored.metrics,
        **scored.protocol,
        **about,
    )
