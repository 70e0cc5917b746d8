"""Recognition: top-k and mean class accuracy from scores."""

from __future__ import annotations

import numpy as np


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns (V,) how many classes are ranked before the true one; of equal scores the lower class is first.

    Args:
        scores: (V, C) finite scores, larger is better.
        labels: (V,) true class indices.

    Raises:
        ValueError: If a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise ValueError("a score is NaN or infinite")
    true = scores[np.arange(len(labels)), labels][:, None]  # (V, 1)
    equal_before = (scores == true) & (np.arange(scores.shape[1]) < labels[:, None])
    return (scores > true).sum(axis=1) + equal_before.sum(axis=1)


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Returns the fraction of videos whose true class is among the k best."""
    return float((ranks(scores, labels) < k).mean())


def mean_class_accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean over the classes that occur of their top-1 accuracy (balanced accuracy)."""
    right = ranks(scores, labels) == 0
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))
