"""Scores of whole videos: clips placed evenly, the softmax of each averaged (method, section "Sampling")."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from featx.clips import even_clips
from featx.model.adapter import TEMPERATURE, Adapter
from featx.sources import Source

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
) -> np.ndarray:
    """Scores videos against texts.

    Args:
        adapter: What was learned.
        text: (C, D) text features of unit length.
        source: Features.
        videos: (V,) indices of the videos in ``source``.
        rows: (V,) rows of each.
        clips: Clips of each video.
        strides: Strides of the training.
        stride_weights: How often each was drawn.
        videos_at_once: Videos that go through the adapter together.

    Returns:
        (V, C) float64 probabilities.
    """
    clip_frames = adapter.config.clip_frames
    scores = [np.empty((0, len(text)))]
    for start in range(0, len(videos), videos_at_once):
        some = videos[start : start + videos_at_once]  # (B,)
        placed = np.concatenate(
            [
                even_clips(n, clip_frames, clips, strides, stride_weights)
                for n in rows[start : start + videos_at_once]
            ]
        )  # (B * clips, T)
        features = source.gather(np.repeat(some, clips), placed).to(text.device)  # (B * clips, T, D)
        logits = adapter.encode_clips(features) @ text.T / TEMPERATURE  # (B * clips, C)
        chances = logits.softmax(dim=1).view(len(some), clips, -1).mean(dim=1)
        scores.append(chances.double().cpu().numpy())
    return np.concatenate(scores)
