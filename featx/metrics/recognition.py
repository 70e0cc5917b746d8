"""Recognition: top-k and mean class accuracy from scores."""

from __future__ import annotations

import numpy as np

from featx.metrics.statistics import harmonic_mean


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
    before: np.ndarray = (scores > true).sum(axis=1) + equal_before.sum(axis=1)
    return before


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Returns the fraction of videos whose true class is among the k best."""
    return float((ranks(scores, labels) < k).mean())


def mean_class_accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean over the classes that occur of their top-1 accuracy (balanced accuracy)."""
    right = ranks(scores, labels) == 0
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns (C, C) counts: row the true class, column the one that was said.

    Args:
        predicted: (V,) class indices.
        labels: (V,) true class indices.
        classes: C.
    """
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


def recognition_metrics(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Returns the metrics of (V, C) scores and (V,) class indices."""
    return {
        "top1": top_k(scores, labels, 1),
        "top5": top_k(scores, labels, 5),
        "mean_class": mean_class_accuracy(scores, labels),
    }


def generalised_metrics(scores: np.ndarray, labels: np.ndarray, is_seen: np.ndarray) -> dict[str, float]:
    """Returns top-1 of the videos of seen and of unseen classes among all classes, and their harmonic mean.

    Args:
        scores: (V, C).
        labels: (V,) class indices.
        is_seen: (C,) bool.

    Returns:
        Nothing if one of the groups has no video: there is no mean of the two then.
    """
    seen = is_seen[labels]
    if seen.all() or not seen.any():
        return {}
    on_seen, on_unseen = (top_k(scores[group], labels[group], 1) for group in (seen, ~seen))
    return {
        "seen_top1": on_seen,
        "unseen_top1": on_unseen,
        "harmonic_top1": harmonic_mean(on_seen, on_unseen),
    }
