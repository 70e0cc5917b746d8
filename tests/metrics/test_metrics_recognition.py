"""Recognition metrics against scikit-learn, and by hand where scores are equal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score, top_k_accuracy_score

from featx.metrics.recognition import mean_class_accuracy, ranks, top_k


@given(st.integers(1, 60), st.integers(3, 12), st.integers(0, 2**32 - 1))
def test_equal_to_scikit_learn(videos: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((videos, classes))
    labels = rng.integers(classes, size=videos)
    for k in (1, 2, classes - 1):
        expected = top_k_accuracy_score(labels, scores, k=k, labels=np.arange(classes))
        assert top_k(scores, labels, k) == pytest.approx(expected, abs=1e-12)
    present = np.unique(labels)
    right = ranks(scores, labels) == 0
    prediction = np.where(right, labels, (labels + 1) % classes)
    if (
        len(present) > 1 and np.isin(prediction, present).all()
    ):  # scikit-learn warns when a prediction never occurs as a label
        expected = balanced_accuracy_score(labels, prediction)
        assert mean_class_accuracy(scores, labels) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 60), st.integers(3, 12), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_equal_to_scikit_learn_where_scores_are_equal(
    videos: int, classes: int, values: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(values, size=(videos, classes)).astype(float)
    labels = rng.integers(classes, size=videos)
    for k in (1, 2, classes - 1):
        # Of equal scores scikit-learn takes the higher class first, featx the lower as argmax does: so count backwards.
        expected = top_k_accuracy_score(classes - 1 - labels, scores[:, ::-1], k=k, labels=np.arange(classes))
        assert top_k(scores, labels, k) == pytest.approx(expected, abs=1e-12)
    predicted = scores.argmax(axis=1)
    assert top_k(scores, labels, 1) == pytest.approx(accuracy_score(labels, predicted), abs=1e-12)
    # scikit-learn's mean class accuracy: recall of the classes that occur
    expected = recall_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0)
    assert mean_class_accuracy(scores, labels) == pytest.approx(expected, abs=1e-12)


def test_of_equal_scores_the_lower_class_is_first() -> None:
    scores = np.zeros((3, 3))
    assert ranks(scores, np.array([0, 1, 2])).tolist() == [0, 1, 2]


def test_more_classes_than_k_is_no_error_and_fewer_count_as_right() -> None:
    assert top_k(np.eye(3), np.array([1, 2, 0]), 5) == 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        top_k(np.array([[0.0, bad]]), np.array([0]), 1)
