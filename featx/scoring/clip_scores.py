"""Scores of whole videos: clips placed evenly, the softmax of each averaged (method, section "Sampling")."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from featx.features.clips import even_clips
from featx.features.sources import Source
from featx.model.adapter import TEMPERATURE, Adapter

VIDEOS_AT_ONCE = 64


@torch.no_grad()
def score_videos(
    adapter: Adapter,
    text: Tensor,
    source: Source,
    videos: np.ndarray,
    rows: np.ndarray,
    clips: int,
    strides: list[int],
    stride_weights: list[float],
    videos_at_once: int = VIDEOS_AT_ONCE,
    first_rows: np.ndarray | None = None,
) -> np.ndarray:
    """Scores videos, or windows of them, against texts.

    Args:
        adapter: What was learned.
        text: (C, D) text features of unit length.
        source: Features.
        videos: (V,) indices of the videos in ``source``; a video may stand there more than once.
        rows: (V,) rows of each, or of its window.
        clips: Clips of each video.
        strides: Strides of the training.
        stride_weights: How often each was drawn.
        videos_at_once: Videos that go through the adapter together.
        first_rows: (V,) row at which each window begins; without it the videos are whole.

    Returns:
        (V, C) float64 probabilities.
    """
    device = str(text.device)
    clip_features = _encode(
        adapter, source, videos, rows, clips, strides, stride_weights, device, videos_at_once, first_rows
    )
    return np.concatenate([np.empty((0, len(text))), *(score_clips(some, text) for some in clip_features)])


@torch.no_grad()
def encode_videos(
    adapter: Adapter,
    source: Source,
    videos: np.ndarray,
    rows: np.ndarray,
    clips: int,
    strides: list[int],
    stride_weights: list[float],
    device: str = "cpu",
) -> Tensor:
    """Returns (V, clips, D) clip features of unit length: what `score_clips` can score against any texts."""
    nothing = torch.empty(0, clips, adapter.feature_width, device=device)  # as of a rank without videos
    some = _encode(adapter, source, videos, rows, clips, strides, stride_weights, device)
    return torch.cat([nothing, *some])


def _encode(
    adapter: Adapter,
    source: Source,
    videos: np.ndarray,
    rows: np.ndarray,
    clips: int,
    strides: list[int],
    stride_weights: list[float],
    device: str,
    videos_at_once: int = VIDEOS_AT_ONCE,
    first_rows: np.ndarray | None = None,
) -> Iterator[Tensor]:
    """Yields (B, clips, D) clip features of unit length of some videos, or windows of them, after the others."""
    for start in range(0, len(videos), videos_at_once):
        some = slice(start, start + videos_at_once)
        placed = _place(adapter, rows[some], clips, strides, stride_weights)
        if first_rows is not None:
            placed += np.repeat(first_rows[some], clips)[:, None]
        features = source.gather(np.repeat(videos[some], clips), placed).to(device)  # (B * clips, T, D)
        yield adapter.encode_clips(features).view(len(placed) // clips, clips, -1)


def pool_videos(
    adapter: Adapter,
    source: Source,
    videos: np.ndarray,
    rows: np.ndarray,
    clips: int,
    strides: list[int],
    stride_weights: list[float],
    device: str = "cpu",
) -> Tensor:
    """Returns (V, D) video features of unit length, the mean of each video's clips: what sentences are compared with."""
    clip_features = encode_videos(adapter, source, videos, rows, clips, strides, stride_weights, device)
    return normalize(clip_features.mean(dim=1), dim=-1)


def score_clips(clips: Tensor, text: Tensor) -> np.ndarray:
    """Returns (V, C) float64 probabilities of videos with (V, clips, D) features: the mean of each clip's softmax."""
    logits = clips @ text.T / TEMPERATURE  # (V, clips, C)
    return logits.softmax(dim=-1).mean(dim=1).double().cpu().numpy()


def _place(
    adapter: Adapter, rows: np.ndarray, clips: int, strides: list[int], stride_weights: list[float]
) -> np.ndarray:
    """Returns (B * clips, T) rows of evenly placed clips."""
    clip_frames = adapter.config.clip_frames
    return even_clips(rows, clip_frames, clips, strides, stride_weights).reshape(-1, clip_frames)
