"""The baselines as pure functions: what the method is compared with."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from featx.errors import FeatxError
from featx.model.adapter import Adapter
from featx.model.adapter_config import TEMPERATURE, AdapterConfig

MOST_ITERATIONS = 1000  # of L-BFGS, as in CLIP's own example of a linear probe


@dataclass(frozen=True)
class Linear:
    """A linear probe.

    Attributes:
        weight: (C, D).
        bias: (C,).
        converged: Whether the fit ended by itself.
    """

    weight: np.ndarray
    bias: np.ndarray
    converged: bool


def zero_shot_adapter(feature_width: int, clip_frames: int) -> Adapter:
    """Returns an adapter that learns nothing: the plain mean of a clip's frames."""
    config = AdapterConfig(prompts=0, layers=0, heads=1, clip_frames=clip_frames)
    return Adapter(config, feature_width, feature_width).eval()


def unit(features: np.ndarray) -> np.ndarray:
    """Returns rows of unit length."""
    scaled: np.ndarray = features / np.linalg.norm(features, axis=-1, keepdims=True)
    return scaled


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns (V, C) float64 probabilities."""
    exponentials: np.ndarray = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: np.ndarray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def class_means(features: np.ndarray, labels: np.ndarray, classes: list[str]) -> np.ndarray:
    """Returns (C, D) class prototypes: the mean of each class's unit-length features, of unit length again.

    Args:
        features: (V, D) mean features of the training videos.
        labels: (V,) class indices.
        classes: Names of the C classes, for messages.

    Raises:
        FeatxError: If a class has no video.
    """
    _check_classes(labels, classes)
    features = unit(features)
    return unit(np.stack([features[labels == index].mean(axis=0) for index in range(len(classes))]))


def nearest_scores(features: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Returns (V, C) probabilities from the cosine to each class mean, at the method's temperature."""
    return softmax(unit(features).astype(np.float64) @ means.T.astype(np.float64) / TEMPERATURE)


def fit_linear(features: np.ndarray, labels: np.ndarray, classes: list[str], c: float) -> Linear:
    """Fits multinomial logistic regression on features as they are (scikit-learn, L-BFGS, L2).

    Args:
        features: (V, D) mean features of the training videos.
        labels: (V,) class indices.
        classes: Names of the C classes, for messages.
        c: Inverse strength of the regularisation.

    Raises:
        FeatxError: If a class has no video, or there is only one class.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    _check_classes(labels, classes)
    if len(classes) < 2:
        raise FeatxError("linear-probe: needs at least two classes")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ConvergenceWarning)
        fitted = LogisticRegression(C=c, max_iter=MOST_ITERATIONS).fit(features.astype(np.float64), labels)
    weight, bias = fitted.coef_, fitted.intercept_
    if len(classes) == 2:  # scikit-learn keeps the second class's logit only; the first one's is 0
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    return Linear(weight, bias, not any(issubclass(one.category, ConvergenceWarning) for one in said))


def linear_scores(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Returns (V, C) probabilities."""
    return softmax(features.astype(np.float64) @ weight.T + bias)


def _check_classes(labels: np.ndarray, classes: list[str]) -> None:
    empty = np.setdiff1d(np.arange(len(classes)), labels)
    if len(empty):
        raise FeatxError(
            f"class '{classes[empty[0]]}' has no training video with features ({len(empty)} such classes); extract them, or "
            "take the class out of the manifest"
        )
