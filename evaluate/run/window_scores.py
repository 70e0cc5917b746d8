"""Scores of a video's windows, by a run, as evaluation scores whole videos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from featx.devices import choose_device
from featx.features.sources import RowSpans
from featx.features.windows import Windows
from featx.scoring.clip_scores import score_videos
from featx.store.reader import FeatureStore

from .baseline_methods import linear_scores, nearest_scores, zero_shot_adapter
from .runs import AdapterRun, BaselineRun
from .settings import ScoreSettings

BACKGROUND_LABEL = "(background)"  # of the text that no detection is of

# Features (N, D) and windows of one video to (M, C) probabilities.
WindowScorer = Callable[[np.ndarray, Windows], np.ndarray]


@dataclass
class OneVideo:
    """The features of a single video, as a `featx.features.sources.Source`."""

    features: np.ndarray
    location: str = "memory"
    reads: bool = False

    def gather(self, videos: np.ndarray, rows: np.ndarray) -> Tensor:
        """Returns (B, T, D) features."""
        return torch.from_numpy(self.features[rows])


def with_background(run: AdapterRun | BaselineRun, classes: dict[str, str]) -> dict[str, str]:
    """Returns label and text of the classes, and last the background's if the run has learned one."""
    if isinstance(run, AdapterRun) and run.header.config.background:
        return {**classes, BACKGROUND_LABEL: run.header.config.background}
    return classes


def window_scorer(
    run: AdapterRun | BaselineRun, store: FeatureStore, classes: dict[str, str], settings: ScoreSettings
) -> WindowScorer:
    """Returns what scores windows as evaluation scores whole videos."""
    if isinstance(run, BaselineRun) and run.method != "zero-shot":
        return lambda features, windows: _score_means(run, features, windows)
    device = choose_device(settings.device)
    text = run.text(classes, store, settings, device)  # (C, D)
    if isinstance(run, AdapterRun):
        adapter = run.adapter
    else:
        adapter = zero_shot_adapter(run.header.fingerprint.width, run.header.settings["clip_frames"])
    adapter = adapter.to(device)
    adapter.precision = settings.precision
    sampling = run.clip_sampling(settings.clips)

    def score(features: np.ndarray, windows: Windows) -> np.ndarray:
        spans = RowSpans(np.zeros(len(windows), dtype=np.int64), windows.first_row, windows.rows)
        return score_videos(adapter, text, OneVideo(features), spans, sampling, settings.batch_size)

    return score


def _score_means(run: BaselineRun, features: np.ndarray, windows: Windows) -> np.ndarray:
    parts = zip(windows.first_row, windows.first_row + windows.rows, strict=True)
    means = np.stack([features[first:past].mean(axis=0, dtype=np.float64) for first, past in parts])  # (M, D)
    if run.method == "nearest-mean":
        return nearest_scores(means, run.tensors["means"])
    return linear_scores(means, run.tensors["weight"], run.tensors["bias"])
