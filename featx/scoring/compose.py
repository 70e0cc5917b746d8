"""One way to make results, for every command that scores: what was scored, on what, and what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from featx.features.dataset import LabelledVideos
from featx.manifest.videos import Manifest
from featx.metrics.recognition import recognition_metrics
from featx.metrics.statistics import Spread
from featx.scoring.results import (
    ClassSet,
    FewShot,
    Item,
    Localisation,
    Method,
    Results,
    Retrieval,
    TrainedOn,
    Videos,
    summarise,
)
from featx.store.reader import FeatureStore
from featx.store.schema import Fingerprint


@dataclass(frozen=True)
class ScoredModel:
    """What was learned.

    Attributes:
        run: Folder of the run, which gets the results.
        method: How it was learned.
        config: What it consists of.
        learned_parameters: How many numbers were learned.
        fingerprint: Of the features that it belongs to.
        trained_on: What it learned from; None if nothing.
    """

    run: str
    method: Method
    config: dict[str, Any]
    learned_parameters: int
    fingerprint: Fingerprint
    trained_on: TrainedOn | None


@dataclass(frozen=True)
class ScoredData:
    """What it was scored on.

    Attributes:
        store: Features.
        manifest: Of the classes that competed.
        split: That was scored.
        clips: Of each video; 0 for a method that looks at the mean of all rows.
        classes: How many competed; 0 where sentences were matched.
        class_set: Which part of ``class_split`` competed.
        class_split: Which classes count as seen; None without open-set.
        classes_as_trained: Whether they are those that were learned, in the same order and with the same texts.
        truncated_texts: How many texts were too long for CLIP and were cut.
    """

    store: FeatureStore
    manifest: Manifest
    split: str
    clips: int
    classes: int
    class_set: ClassSet = "all"
    class_split: str | None = None
    classes_as_trained: bool = True
    truncated_texts: int = 0


@dataclass(frozen=True)
class Measurement:
    """What was measured.

    Attributes:
        videos: How many were scored, and which had no features.
        metrics: Fractions of 1, but for ranks.
        localisation: How detections were made and scored.
        retrieval: What was ranked.
        few_shot: The protocol of episodes.
        spread: How far the items lie apart, where ``metrics`` are means.
        items: What they are the means of.
    """

    videos: Videos
    metrics: dict[str, float]
    localisation: Localisation | None = None
    retrieval: Retrieval | None = None
    few_shot: FewShot | None = None
    spread: dict[str, Spread] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)

    def with_left_out(self, videos: int) -> Measurement:
        """Returns the same of a split of which some videos show none of the classes that competed."""
        return replace(self, videos=self.videos.model_copy(update={"left_out": videos}))


def results_of(
    task: str, model: ScoredModel, data: ScoredData, measured: Measurement, variant: str = ""
) -> Results:
    """Returns the results of now.

    Args:
        task: Recognition, localisation or retrieval.
        model: What was scored.
        data: On what.
        measured: What came of it.
        variant: Which of several results of one run and split.
    """
    return Results(
        task=task,
        run=model.run,
        variant=variant,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        method=model.method,
        config=model.config,
        learned_parameters=model.learned_parameters,
        data_set=data.manifest.header.name,
        manifest=str(data.manifest.file),
        store=str(data.store.path),
        split=data.split,
        clips=data.clips,
        classes=data.classes,
        class_set=data.class_set,
        class_split=data.class_split,
        classes_as_trained=data.classes_as_trained,
        truncated_texts=data.truncated_texts,
        trained_on=model.trained_on,
        few_shot=measured.few_shot,
        localisation=measured.localisation,
        retrieval=measured.retrieval,
        fingerprint=model.fingerprint.model_dump(),
        videos=measured.videos,
        metrics=measured.metrics,
        spread=measured.spread,
        items=measured.items,
    )


def measure_recognition(scores: np.ndarray, videos: LabelledVideos) -> Measurement:
    """Returns the accuracy of scores.

    Args:
        scores: (V, C).
        videos: V videos and their classes.

    Raises:
        FeatxError: If a score is not a number.
    """
    return Measurement(
        Videos(scored=len(videos), missing=videos.missing), recognition_metrics(scores, videos.labels)
    )


def measure_items(items: list[Item], missing: Iterable[str], few_shot: FewShot | None = None) -> Measurement:
    """Returns the means over episodes, seeds or class splits.

    Args:
        items: At least one; all have the same metrics.
        missing: Ids of the videos that the store lacks, each once.
        few_shot: The protocol of episodes.

    Raises:
        ValueError: If there is no item, or one lacks a metric that another has.
    """
    metrics, spread = summarise(items)
    videos = Videos(scored=sum(item.scored for item in items), missing=list(missing))
    return Measurement(videos, metrics, few_shot=few_shot, spread=spread, items=items)
