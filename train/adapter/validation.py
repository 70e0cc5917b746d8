"""Choosing the best step on videos kept back from training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from featx.features.dataset import CaptionedVideos
from featx.features.sources import RowSpans, Source
from featx.metrics.recognition import top_k
from featx.metrics.retrieval import corpus, plain, text_to_video
from featx.model.adapter import Adapter
from featx.scoring.clip_scores import pool_videos, score_videos

from ..engine.ranks import Ranks
from ..engine.score import Score
from .settings import TrainSettings
from .step import TextSide


@dataclass(frozen=True)
class Validator:
    """Scores an adapter as evaluation does, each rank its part of the videos.

    Attributes:
        videos: (V,) indices in ``source`` of the videos kept back.
        labels: (V,) their classes.
        rows: (V,) their rows.
        source: Features.
        settings: Of the run.
        ranks: Who scores which part.
        text_side: Encodes the class texts.
    """

    videos: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    source: Source
    settings: TrainSettings
    ranks: Ranks
    text_side: TextSide

    def score(self, adapter: nn.Module) -> Score:
        """Returns the score of an adapter against all class texts."""
        assert isinstance(adapter, Adapter)
        text = self.text_side.all_features(adapter)  # (C, D)
        part = self.ranks.shard(len(self.videos))
        spans = RowSpans.whole(self.rows[part], self.videos[part])
        own = score_videos(adapter, text, self.source, spans, self.settings.clip_sampling)
        gathered = self.ranks.gather(torch.from_numpy(own).to(self.ranks.device), len(self.videos))
        scores = gathered.cpu().numpy()  # (V, C)
        true = scores[np.arange(len(scores)), self.labels]
        loss = -np.log(np.maximum(true, np.finfo(np.float64).tiny)).mean()
        return Score(top_k(scores, self.labels, 1), float(loss))


@dataclass(frozen=True)
class RetrievalValidator:
    """Finds the videos kept back by the first caption of each, every rank encoding its part.

    Attributes:
        videos: (V,) indices in ``source`` of the videos kept back.
        captioned: All videos of the training split.
        source: Features.
        settings: Of the run.
        ranks: Who encodes which part.
        text_side: Encodes the sentences.
    """

    videos: np.ndarray
    captioned: CaptionedVideos
    source: Source
    settings: TrainSettings
    ranks: Ranks
    text_side: TextSide

    def score(self, adapter: nn.Module) -> Score:
        """Returns R@1 of the sentences among the videos kept back, and the loss of the videos among the sentences."""
        assert isinstance(adapter, Adapter)
        captioned = self.captioned
        texts, own = np.unique(captioned.text_of[captioned.first_captions[self.videos]], return_inverse=True)
        text = self.text_side.features(adapter, texts)  # (C, D)
        part = self.videos[self.ranks.shard(len(self.videos))]
        spans = RowSpans.whole(captioned.rows[part], part)
        pooled = pool_videos(adapter, self.source, spans, self.settings.clip_sampling, self.ranks.device)
        video = self.ranks.gather(pooled, len(self.videos))  # (V, D)
        of = corpus(text.cpu().numpy(), video.cpu().numpy(), own, np.arange(len(self.videos)))
        found = text_to_video(of, plain(of))
        logits = video.double() @ text.double().T / adapter.config.temperature
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(own).to(logits.device))
        return Score(float((found <= 1).mean()), loss.item(), "r1")
