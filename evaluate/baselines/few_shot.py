"""Baselines over few-shot episodes: every video is read and encoded once, however many episodes it is in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from featx.devices import choose_device
from featx.errors import FeatxError
from featx.features.dataset import LabelledVideos, with_labels
from featx.features.mean_features import mean_features
from featx.features.sources import RowSpans, open_parts
from featx.manifest.episodes import Episode, read_episodes, ways_and_shots
from featx.manifest.videos import Manifest
from featx.metrics.recognition import recognition_metrics
from featx.scoring.clip_scores import encode_videos, score_clips
from featx.scoring.compose import ScoredData, measure_items, results_of
from featx.scoring.results import FewShot, Item, Results
from featx.store.reader import FeatureStore

from ..run.baseline_methods import (
    class_means,
    fit_linear,
    linear_scores,
    nearest_scores,
    zero_shot_adapter,
)
from ..run.eval_setup import scored_model
from ..run.runs import BaselineRun
from ..run.settings import BaselineSettings

# Training ids, test ids and classes to (V, C) scores.
EpisodeScorer = Callable[[list[str], list[str], list[str]], np.ndarray]


def score_episodes(
    run: BaselineRun, store: FeatureStore, manifest: Manifest, settings: BaselineSettings
) -> tuple[Results, list[str]]:
    """Learns and scores a baseline on each episode.

    Returns:
        The results, and notes for the user.

    Raises:
        FeatxError: If an episode has no test video with features, or a class no training video with features.
    """
    assert settings.episodes is not None
    episodes = read_episodes(settings.episodes, manifest).episodes
    notes: list[str] = []
    if run.method == "zero-shot":
        score = _zero_shot(run, store, manifest, episodes, settings)
    else:
        score = _from_means(run, store, manifest, episodes, settings, notes)
    present = {video.id for video in manifest.videos if video.stored_id in store}
    items: list[Item] = []
    missing: set[str] = set()
    untrained = 0
    for episode in episodes:
        train, test = ([one for one in ids if one in present] for ids in (episode.train, episode.test))
        if not test:
            raise FeatxError(
                f"{settings.episodes}: {store.path} has no test video of episode '{episode.name}'"
            )
        untrained += len(episode.train) - len(train)
        missing |= set(episode.test) - present
        labels = _labels(test, episode.classes, manifest)
        try:
            metrics = recognition_metrics(score(train, test, episode.classes), labels)
        except FeatxError as error:
            raise FeatxError(f"{settings.episodes}: episode '{episode.name}': {error}") from error
        lost = len(episode.test) - len(test)
        items.append(Item(name=episode.name, scored=len(test), missing=lost, metrics=metrics))
    ways, shots = ways_and_shots(episodes, manifest)
    protocol = FewShot(episodes=str(settings.episodes), ways=ways, shots=shots)
    model = scored_model(run, run.file.parent, settings)
    classes = len(episodes[0].classes)
    results = results_of(
        "recognition",
        replace(model, learned_parameters=_parameters(run, classes)),
        ScoredData(
            store=store,
            manifest=manifest,
            split=settings.episodes.stem,
            clips=settings.clips if run.uses_clips else 0,
            classes=classes,
        ),
        measure_items(items, sorted(missing), protocol),
    )
    if run.method != "zero-shot" and untrained:
        notes.append(
            f"{untrained} training videos of the episodes have no features: fewer shots than they say"
        )
    return results, notes


def _zero_shot(
    run: BaselineRun,
    store: FeatureStore,
    manifest: Manifest,
    episodes: list[Episode],
    settings: BaselineSettings,
) -> EpisodeScorer:
    device = choose_device(settings.device)
    text = run.text(manifest.header.classes, store, settings, device)
    row_of = {label: index for index, label in enumerate(manifest.labels)}
    videos = _videos(store, manifest, episodes, "test")
    adapter = zero_shot_adapter(run.header.fingerprint.width, settings.clip_frames).to(device)
    encoded = encode_videos(
        adapter,
        open_parts(store, videos, device),
        RowSpans.whole(videos.rows),
        settings.clip_sampling,
        device,
    )  # (V, clips, D)
    place = {video_id: index for index, video_id in enumerate(videos.ids)}

    def score(train: list[str], test: list[str], classes: list[str]) -> np.ndarray:
        return score_clips(encoded[[place[one] for one in test]], text[[row_of[label] for label in classes]])

    return score


def _from_means(
    run: BaselineRun,
    store: FeatureStore,
    manifest: Manifest,
    episodes: list[Episode],
    settings: BaselineSettings,
    notes: list[str],
) -> EpisodeScorer:
    videos = _videos(store, manifest, episodes, "train", "test")
    means = mean_features(store, videos)
    place = {video_id: index for index, video_id in enumerate(videos.ids)}

    def score(train: list[str], test: list[str], classes: list[str]) -> np.ndarray:
        learned, asked = (means[[place[one] for one in some]] for some in (train, test))
        labels = _labels(train, classes, manifest)
        if run.method == "nearest-mean":
            return nearest_scores(asked, class_means(learned, labels, classes))
        fitted = fit_linear(learned, labels, classes, settings.c)
        if not fitted.converged:
            notes.append(
                f"a linear probe of classes {', '.join(classes[:3])}, … had not converged; a smaller --c may"
            )
        return linear_scores(asked, fitted.weight, fitted.bias)

    return score


def _videos(store: FeatureStore, manifest: Manifest, episodes: list[Episode], *parts: str) -> LabelledVideos:
    """Returns every video of the episodes that has features, once."""
    ids = dict.fromkeys(one for episode in episodes for part in parts for one in getattr(episode, part))
    videos = [manifest.by_id[one] for one in ids]
    return with_labels(store, manifest, [video for video in videos if video.stored_id in store], [])


def _labels(ids: list[str], classes: list[str], manifest: Manifest) -> np.ndarray:
    index = {label: number for number, label in enumerate(classes)}
    return np.array([index[str(manifest.by_id[one].label)] for one in ids], dtype=np.int64)


def _parameters(run: BaselineRun, classes: int) -> int:
    """Returns how many numbers an episode's classifier has."""
    width = run.header.fingerprint.width
    return {"zero-shot": 0, "nearest-mean": classes * width}.get(run.method, classes * (width + 1))
