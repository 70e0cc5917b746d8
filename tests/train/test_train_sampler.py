"""What a step sees depends on the seed and the step only."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from featx.features.clips import ClipSampling
from featx.train.adapter.sampler import ClassSampler, ClipStream, class_list, keep_back, order
from featx.train.engine.schedule import rate_at


def make(seed: int = 0, batch: int = 8, classes: int = 30, limit: int = 400) -> ClassSampler:
    sampling = ClipSampling(4, [1, 2, 3], [1, 2, 1])
    clips = ClipStream(seed, batch, np.arange(0, 50, 2), np.arange(20, 70), sampling)
    return ClassSampler(clips, np.arange(50) % classes, classes, limit)


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


def test_the_released_schedule_is_torchs_as_the_authors_program_calls_it() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.AdamW([weight], lr=1e-4)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, T_0=200_000, eta_min=1e-6)
    rates = []
    for iteration in (0, 1, 2, 1_098, 49_998, 79_998, 199_998, 199_999, 200_000, 250_000):
        theirs.step(iteration)  # it is called after the update of this iteration, so the next step has it
        rates.append((iteration + 2, optimiser.param_groups[0]["lr"]))
    for step, rate in [(1, 1e-4), *rates]:
        assert rate_at(step, 1e-4, 10**6, 0, "released") == pytest.approx(rate, rel=1e-9), step


@pytest.mark.parametrize(
    ("step", "share"), [(1, 1), (2, 1), (1_100, 0.99993), (50_000, 0.855), (80_000, 0.658), (200_001, 0.01), (200_002, 1)]
)  # fmt: skip
def test_shares_of_the_rate_that_the_released_schedule_leaves(step: int, share: float) -> None:
    assert rate_at(step, 3.0, 300_000, 0, "released") / 3 == pytest.approx(
        share, abs=5e-4 if step > 1_100 else 5e-6
    )


def test_a_warm_up_comes_before_the_released_schedule() -> None:
    assert [rate_at(step, 4.0, 100, 3, "released") for step in (1, 2, 3, 4, 5)] == [1, 2, 3, 4, 4]
    assert rate_at(50_003, 1.0, 60_000, 3, "released") == rate_at(50_000, 1.0, 60_000, 0, "released")
