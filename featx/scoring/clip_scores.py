"""Scores of whole videos: clips placed evenly, the softmax of each averaged (method, section "Sampling")."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from featx.features.clips import ClipSampling, even_clips
from featx.features.sources import RowSpans, Source
from featx.model.adapter import Adapter
from featx.model.adapter_config import TEMPERATURE

VIDEOS_AT_ONCE = 64


@torch.no_grad()
def score_videos(
    adapter: Adapter,
    text: Tensor,
    source: Source,
    spans: RowSpans,
    sampling: ClipSampling,
    videos_at_once: int = VIDEOS_AT_ONCE,
) -> np.ndarray:
    """Scores videos, or windows of them, against texts.

    Args:
        adapter: What was learned.
        text: (C, D) text features of unit length.
        source: Features.
        spans: M videos or windows there.
        sampling: The clips of each.
        videos_at_once: Videos that go through the adapter together.

    Returns:
        (M, C) float64 probabilities.
    """
    clip_features = _encode(adapter, source, spans, sampling, str(text.device), videos_at_once)
    temperature = adapter.config.temperature
    return np.concatenate(
        [np.empty((0, len(text))), *(score_clips(some, text, temperature) for some in clip_features)]
    )


@torch.no_grad()
def encode_videos(
    adapter: Adapter, source: Source, spans: RowSpans, sampling: ClipSampling, device: str = "cpu"
) -> Tensor:
    """Returns (M, K, D) clip features of unit length: what `score_clips` can score against any texts."""
    nothing = torch.empty(
        0, sampling.clips, adapter.feature_width, device=device
    )  # as of a rank without videos
    return torch.cat([nothing, *_encode(adapter, source, spans, sampling, device)])


def _encode(
    adapter: Adapter,
    source: Source,
    spans: RowSpans,
    sampling: ClipSampling,
    device: str,
    videos_at_once: int = VIDEOS_AT_ONCE,
) -> Iterator[Tensor]:
    """Yields (B, K, D) clip features of unit length of some videos, or windows of them, after the others."""
    clips = sampling.clips
    for start in range(0, len(spans), videos_at_once):
        some = spans[start : start + videos_at_once]
        placed = even_clips(some.rows, sampling) + some.first_rows[:, None, None]  # (B, K, T)
        videos = np.repeat(some.videos, clips)  # (B K,)
        rows = placed.reshape(len(videos), sampling.frames)  # (B K, T)
        features = source.gather(videos, rows).to(device)  # (B K, T, D)
        with _scoring(adapter):
            encoded = adapter.encode_clips(features, rows)
        yield encoded.view(len(some), clips, -1)


@contextmanager
def _scoring(adapter: Adapter) -> Iterator[None]:
    """Switches what is only for training off (a module's own dropout), and on again where a run goes on."""
    training = adapter.training
    adapter.eval()
    try:
        yield
    finally:
        adapter.train(training)


def pool_videos(
    adapter: Adapter, source: Source, spans: RowSpans, sampling: ClipSampling, device: str = "cpu"
) -> Tensor:
    """Returns (M, D) video features of unit length, the mean of each video's clips: what sentences are compared with."""
    clip_features = encode_videos(adapter, source, spans, sampling, device)
    return normalize(clip_features.mean(dim=1), dim=-1)


def score_clips(clips: Tensor, text: Tensor, temperature: float = TEMPERATURE) -> np.ndarray:
    """Returns (V, C) float64 probabilities of videos: the mean of each clip's softmax.

    Args:
        clips: (V, K, D) features of unit length.
        text: (C, D) likewise.
        temperature: Of the adapter.
    """
    logits = clips @ text.T / temperature  # (V, K, C)
    scores: np.ndarray = logits.softmax(dim=-1).mean(dim=1).double().cpu().numpy()
    return scores
