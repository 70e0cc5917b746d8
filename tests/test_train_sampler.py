"""What a step sees depends on the seed and the step only."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featx.train.sampler import Sampler, class_list, keep_back, order
from featx.train.schedule import rate_at


def make(seed: int = 0, batch: int = 8, classes: int = 30, limit: int = 400) -> Sampler:
    labels = np.arange(50) % classes
    return Sampler(
        seed, batch, np.arange(0, 50, 2), labels, np.arange(20, 70), classes, limit, 4, [1, 2, 3], [1, 2, 1]
    )


def test_a_step_does_not_depend_on_what_was_drawn_before() -> None:
    forwards = [make().draw(step) for step in range(1, 20)]
    backwards = [make().draw(step) for step in range(19, 0, -1)][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        for name in ("videos", "rows", "texts", "targets"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert not np.array_equal(make(seed=1).draw(1).videos, forwards[0].videos)
    assert not np.array_equal(forwards[0].rows, forwards[1].rows)


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_every_pass_has_every_video_once(videos: int, batch: int, seed: int) -> None:
    steps = -(-2 * videos // batch)
    places = np.concatenate([order(seed, videos, step * batch, batch) for step in range(steps)])[: 2 * videos]
    for passed in (places[:videos], places[videos:]):
        assert sorted(passed.tolist()) == list(range(videos))


def test_only_the_training_videos_are_drawn_and_targets_point_at_their_texts() -> None:
    sampler = make(limit=12)
    for step in range(1, 30):
        drawn = sampler.draw(step)
        assert (drawn.videos % 2 == 0).all()
        assert len(drawn.texts) == 12 and (np.diff(drawn.texts) > 0).all()
        np.testing.assert_array_equal(drawn.texts[drawn.targets], sampler.labels[drawn.videos])


@given(st.integers(2, 40), st.integers(2, 60), st.integers(1, 30), st.integers(0, 1000))
def test_class_lists_have_the_batchs_classes_and_fill_up_to_the_limit(
    classes: int, limit: int, batch: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, batch)
    texts = class_list([seed], labels, classes, limit)
    assert set(labels) <= set(texts.tolist()) and len(set(texts.tolist())) == len(texts)
    assert len(texts) == min(classes, max(limit, len(set(labels.tolist()))))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.floats(0.01, 0.99), st.integers(0, 100))
def test_validation_takes_its_share_of_every_class_and_leaves_some(
    labels: list[int], share: float, seed: int
) -> None:
    classes = np.array(labels)
    kept = keep_back(classes, share, seed)
    np.testing.assert_array_equal(kept, keep_back(classes, share, seed))
    for label in set(labels):
        count, total = kept[classes == label].sum(), (classes == label).sum()
        assert count < total
        assert count == 0 if total == 1 else abs(count - share * total) <= 1
    assert not keep_back(classes, 0.0, seed).any()


def test_rates() -> None:
    constant = [rate_at(step, 2.0, 10, 3, "constant") for step in range(1, 11)]
    assert constant == pytest.approx([0.5, 1.0, 1.5, *[2.0] * 7])
    cosine = [rate_at(step, 2.0, 10, 2, "cosine") for step in range(1, 11)]
    assert cosine[:3] == pytest.approx([2 / 3, 4 / 3, 2.0])
    assert cosine[6] == pytest.approx(1.0)  # half of the way down
    assert cosine == sorted(cosine[:3]) + sorted(cosine[3:], reverse=True) and 0 < cosine[-1] < 0.1
