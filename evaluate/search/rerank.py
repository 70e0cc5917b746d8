"""The second step of a search: the best hits go through the adapter's temporal model, as in evaluation."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from featx.features.sources import PartSource, RowSpans, StoreSource
from featx.scoring.clip_scores import encode_videos
from featx.store.reader import FeatureStore

from ..run.runs import AdapterRun
from .exact.search import Hit


@torch.no_grad()
def rerank(
    found: list[list[Hit]], texts: Tensor, run: AdapterRun, store: FeatureStore, clips: int, device: str
) -> list[list[Hit]]:
    """Scores hits anew: the mean cosine of clips, evenly placed over each, with its query.

    Args:
        found: For each of Q queries some hits.
        texts: (Q, D) their features, of unit length.
        run: The adapter, and the strides of its training.
        store: Where the rows are.
        clips: Of each hit.
        device: Where to compute.

    Returns:
        The same hits, the best first.
    """
    spans = sorted({(hit.video, hit.first_row, hit.rows) for hits in found for hit in hits})
    if not spans:
        return found
    place = {span: number for number, span in enumerate(spans)}
    ids = list(dict.fromkeys(video for video, _, _ in spans))
    number_of = {video: number for number, video in enumerate(ids)}
    source = PartSource(
        StoreSource(store, ids),
        np.array([number_of[video] for video, _, _ in spans]),
        np.array([first for _, first, _ in spans]),
    )
    encoded = encode_videos(
        run.adapter.to(device),
        source,
        RowSpans.whole(np.array([rows for _, _, rows in spans])),
        run.clip_sampling(clips),
        device,
    ).cpu()  # (S, clips, D)
    ranked = []
    for text, hits in zip(texts, found, strict=True):
        scores = (encoded[[place[hit.video, hit.first_row, hit.rows] for hit in hits]] @ text).mean(dim=1)
        new = [
            dataclasses.replace(hit, score=score) for hit, score in zip(hits, scores.tolist(), strict=True)
        ]
        ranked.append(sorted(new, key=lambda hit: -hit.score))
    return ranked
