"""Retrieval's steps: one caption a video in each pass, and nothing that is right is held against a clip."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from featx.features.clips import ClipSampling
from featx.features.dataset import CaptionedVideos
from featx.train.adapter.captions import CaptionSampler
from featx.train.adapter.losses import Objective, loss_of
from featx.train.adapter.sampler import ClipStream

VIDEOS, TEXTS = 13, 20


def captioned(seed: int) -> CaptionedVideos:
    """Videos with one to four captions; sentences are shared among videos and may repeat within one."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 5, VIDEOS)
    names = [f"{index}.mp4" for index in range(VIDEOS)]
    video_of = np.repeat(np.arange(VIDEOS), counts)
    text_of = rng.integers(0, TEXTS, len(video_of))
    zeros, rows = np.zeros(VIDEOS, dtype=np.int64), np.full(VIDEOS, 30)
    return CaptionedVideos(
        names, names, zeros, rows, [], [f"text {n}" for n in range(TEXTS)], text_of, video_of, 0
    )


def make(
    videos: CaptionedVideos, batch: int, seed: int = 0, learned: np.ndarray | None = None
) -> CaptionSampler:
    some = np.arange(VIDEOS) if learned is None else learned
    stream = ClipStream(seed, batch, some, videos.rows, ClipSampling(4, [1, 2], [1, 1]))
    return CaptionSampler(stream, videos)


def said_of(videos: CaptionedVideos, video: int) -> set[int]:
    return set(videos.text_of[videos.video_of == video].tolist())


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40))
def test_texts_targets_and_what_is_ignored(seed: int, batch: int) -> None:
    videos = captioned(seed)
    sampler = make(videos, batch, seed)
    for step in (1, 2, 40):
        draw = sampler.draw(step)
        assert len(draw.videos) == batch and (np.diff(draw.texts) > 0).all()
        ignored = np.zeros((batch, len(draw.texts)), dtype=bool) if draw.ignored is None else draw.ignored
        for clip, video in enumerate(draw.videos):
            own = draw.texts[draw.targets[clip]]
            assert own in said_of(videos, video)
            also_right = {text for text in said_of(videos, video) & set(draw.texts.tolist()) if text != own}
            assert set(draw.texts[ignored[clip]].tolist()) == also_right
        assert set(draw.texts.tolist()) == set(draw.texts[draw.targets].tolist())  # every text has a clip


def test_a_step_does_not_depend_on_what_was_drawn_before() -> None:
    videos = captioned(0)
    forwards = [make(videos, 5).draw(step) for step in range(1, 80)]
    backwards = [make(videos, 5).draw(step) for step in range(79, 0, -1)][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        for name in ("videos", "rows", "texts", "targets"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_each_pass_draws_a_caption_of_every_video_and_passes_differ() -> None:
    videos, learned = captioned(3), np.arange(0, VIDEOS, 2)
    sampler = make(videos, len(learned), learned=learned)  # a step is a pass
    seen: dict[int, set[int]] = {video: set() for video in learned}
    for step in range(1, 60):
        draw = sampler.draw(step)
        assert sorted(draw.videos) == list(learned)
        for clip, video in enumerate(draw.videos):
            seen[video].add(int(draw.texts[draw.targets[clip]]))
    assert all(texts == said_of(videos, video) for video, texts in seen.items())  # all its captions, in time


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_loss_is_that_of_lists_without_what_is_ignored(symmetric: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    video = functional.normalize(
        torch.randn(6, 5, generator=rng, dtype=torch.float64), dim=1
    ).requires_grad_()
    text = functional.normalize(torch.randn(4, 5, generator=rng, dtype=torch.float64), dim=1).requires_grad_()
    targets = torch.tensor([0, 1, 2, 3, 0, 2])
    ignored = torch.zeros(6, 4, dtype=torch.bool)
    ignored[0, 2] = ignored[1, 3] = ignored[4, 1] = True
    objective = Objective("symmetric" if symmetric else "video-to-text")
    loss, _ = loss_of(video, text, targets, 6, objective, ignored)
    logits = video @ text.T / 0.07
    rows = [-logits[i][~ignored[i]].log_softmax(0)[(~ignored[i])[: targets[i]].sum()] for i in range(6)]
    expected = torch.stack(rows).mean()
    if symmetric:
        columns = []
        for j in range(4):
            kept = torch.nonzero(~ignored[:, j])[:, 0].tolist()
            own = [kept.index(i) for i in kept if targets[i] == j]
            columns.append(-logits[kept, j].log_softmax(0)[own].mean())
        expected = (expected + torch.stack(columns).mean()) / 2
    torch.testing.assert_close(loss, expected)
    found = torch.autograd.grad(loss, [video, text])
    for one, other in zip(found, torch.autograd.grad(expected, [video, text]), strict=True):
        torch.testing.assert_close(one, other)


def test_nothing_that_is_right_is_pushed_away() -> None:
    """A batch that has one video twice with two captions: the gradient does not see the pair of the one and the other."""
    video = torch.eye(2, dtype=torch.float64)[[0, 0, 1]].requires_grad_()
    text = torch.eye(3, 2, dtype=torch.float64).requires_grad_()
    targets, ignored = torch.tensor([0, 1, 2]), torch.zeros(3, 3, dtype=torch.bool)
    ignored[0, 1] = ignored[1, 0] = True
    assert loss_of(video, text, targets, 3, Objective("symmetric"), ignored)[0].isfinite()
    loss, _ = loss_of(video[:1], text, targets[:1], 1, Objective(), ignored[:1])
    (gradient,) = torch.autograd.grad(loss, text)
    assert (gradient[1] == 0).all() and (gradient[2] != 0).any()


WORDS = [
    "--task",
    "retrieval",
    "--layers",
    1,
    "--strides",
    "1,2",
    "--stride-weights",
    "1,1",
    "--batch-size",
    16,
]


def test_validation_keeps_back_videos_and_long_sentences_are_counted(
    caption_data: Path, tmp_path: Path, featx
) -> None:
    where = ["--store", caption_data / "features", "--manifest", caption_data / "manifest.jsonl"]
    more = ["--steps", 12, "--validation", 0.2, "--validate-every", 6, "--to", tmp_path / "run"]
    outcome = featx("train", *WORDS, *where, *more)
    assert outcome.code == 0, outcome.err
    assert "48 videos" in outcome.err and "12 validation videos (R@1 " in outcome.err
    assert "6 sentences were too long and cut" in outcome.err
    assert len((tmp_path / "run" / "validation.txt").read_text().splitlines()) == 12
    from featx.model.adapter import read_header

    header = read_header(tmp_path / "run" / "adapter.safetensors")
    assert header.config.task == "retrieval" and header.config.prompts == 4 and header.classes == {}


def test_prompts_may_be_other_than_retrievals_four(caption_data: Path, tmp_path: Path, featx) -> None:
    where = ["--store", caption_data / "features", "--manifest", caption_data / "manifest.jsonl"]
    base = ["train", *WORDS, *where, "--dry-run", "--to", tmp_path]
    for words, prompts in (([], 4), (["--prompts", 16], 16), (["--set", "prompts=0"], 0)):
        outcome = featx(*base, *words)
        assert outcome.code == 0 and f"\nprompts = {prompts}\n" in outcome.out, outcome.err
        assert "# 6 of " in outcome.out and "the cost is that of 16 sentences" in outcome.out


def test_what_is_about_classes_is_refused(
    caption_data: Path, order_data: Path, tmp_path: Path, featx
) -> None:
    where = ["--store", caption_data / "features", "--manifest", caption_data / "manifest.jsonl"]
    base = ["train", *WORDS, "--to", tmp_path / "run"]
    no_captions = ["--store", order_data / "features", "--manifest", order_data / "manifest.jsonl"]
    for message, words in {
        "class_limit is about classes": [*base, *where, "--class-limit", 5],
        "seen_list is about classes": [*base, *where, "--seen-list", "list.txt"],
        "48 videos of split 'train' have no caption": [*base, *no_captions],
    }.items():
        outcome = featx(*words)
        assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1, outcome.err


def test_the_sigmoid_loss_leaves_out_what_is_ignored() -> None:
    torch.manual_seed(0)
    video, text = (functional.normalize(torch.randn(n, 8), dim=1).requires_grad_() for n in (3, 4))
    targets, ignored = torch.tensor([0, 1, 1]), torch.zeros(3, 4, dtype=torch.bool)
    ignored[0, 2] = ignored[2, 0] = True
    objective = Objective("sigmoid", 0.1, -2.0)
    loss, _ = loss_of(video, text, targets, 3, objective, ignored)
    logits = video @ text.T / 0.1 - 2.0
    plain = sum(
        functional.softplus(-logits[i, j] if targets[i] == j else logits[i, j])
        for i in range(3)
        for j in range(4)
        if not ignored[i, j]
    )
    torch.testing.assert_close(loss, plain / 3)
    gradients = [torch.autograd.grad(one, video)[0] for one in (loss, plain / 3)]
    torch.testing.assert_close(*gradients)
