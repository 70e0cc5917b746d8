"""A step's gradient equals plain backpropagation through one big batch, however it is cut up."""

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.nn import functional

from featx.encoders.load import load_model
from featx.encoders.text import TextPlan, TextTower
from featx.features.clips import ClipSampling
from featx.model.adapter import Adapter
from featx.model.adapter_config import AdapterConfig
from featx.train.adapter.loader import Batch, Loader
from featx.train.adapter.losses import Objective, text_to_video
from featx.train.adapter.sampler import ClassSampler, ClipDraw, ClipStream
from featx.train.adapter.step import AdapterStep, TextSide
from featx.train.engine.ranks import Ranks, shards
from featx.train.engine.stopwatch import Stopwatch

NAMES = ["run", "climb stairs", "brush hair", "ride a bike", "smile"]
FRAMES, BATCH = 4, 7
OBJECTIVES = [Objective(), Objective("symmetric"), Objective("sigmoid", 0.1, -2.0)]


class CountingTower(TextTower):
    """The real tower, which counts the texts that go through it."""

    encoded: list[int]

    def encode(self, plan: TextPlan, prompt_table: torch.Tensor | None = None) -> torch.Tensor:
        self.encoded = [*getattr(self, "encoded", []), len(plan)]
        return super().encode(plan, prompt_table)


def make(prompts: int, seed: int = 0, layers: int = 1) -> tuple[Adapter, CountingTower]:
    tiny = load_model("tiny")
    torch.manual_seed(seed)
    adapter = Adapter(
        AdapterConfig(prompts=prompts, layers=layers, clip_frames=FRAMES), tiny.text_width, tiny.width
    )
    return adapter, CountingTower(tiny.model)


def draw(texts: list[int], seed: int = 0) -> tuple[ClipDraw, torch.Tensor]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, len(texts), BATCH)
    rows = np.zeros((BATCH, FRAMES), dtype=np.int64)
    clips = torch.from_numpy(rng.standard_normal((BATCH, FRAMES, 128)).astype(np.float32))
    return ClipDraw(np.arange(BATCH), rows, np.array(texts), targets), clips


def plain_loss(adapter, tower, drawn: ClipDraw, clips, objective: Objective) -> torch.Tensor:
    """The loss written the obvious way."""
    text = adapter.encode_texts(tower, adapter.plan(tower.format, [NAMES[index] for index in drawn.texts]))
    logits = adapter.encode_clips(clips) @ text.T / objective.temperature + objective.bias
    if objective.kind == "sigmoid":  # each pair on its own
        pairs = [
            functional.softplus(-logit if text == own else logit)
            for row, own in zip(logits, drawn.targets, strict=True)
            for text, logit in enumerate(row)
        ]
        return torch.stack(pairs).sum() / len(logits)
    loss = functional.cross_entropy(logits, torch.from_numpy(drawn.targets))
    if objective.kind == "video-to-text":
        return loss
    each = []
    for text_index in np.unique(drawn.targets):
        own = torch.from_numpy(drawn.targets == text_index)
        each.append(functional.cross_entropy(logits[:, text_index], own / own.sum()))
    return (loss + torch.stack(each).mean()) / 2


@pytest.mark.parametrize("prompts", [2, 0])
@pytest.mark.parametrize("texts", [[0, 1, 2, 3, 4], [0, 2, 3]])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("accumulate", [1, 3, 7])
def test_accumulated_gradients_equal_one_big_batch(prompts, texts, objective, accumulate) -> None:
    adapter, _ = make(prompts)
    drawn, clips = draw(texts)
    # In float64, where the order in which this machine adds makes no difference that could hide a real one.
    adapter, clips = adapter.double(), clips.double()
    tower = CountingTower(copy.deepcopy(load_model("tiny").model).double())
    expected_loss = plain_loss(adapter, tower, drawn, clips, objective)
    expected = torch.autograd.grad(expected_loss, list(adapter.parameters()))
    tower.encoded = []
    text_side = TextSide(adapter, tower, adapter.plan(tower.format, NAMES), 128, Ranks())
    slices = shards(BATCH, accumulate)
    step = AdapterStep(adapter, text_side, Ranks(), objective, Stopwatch("cpu"))
    loss, _ = step.gradients(Batch(drawn, slices, [clips[s] for s in slices]))
    torch.testing.assert_close(loss, expected_loss.detach())
    for parameter, gradient in zip(adapter.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-12)
    assert len(tower.encoded) == 1  # the text tower ran once


@pytest.mark.parametrize(("objective", "accumulate"), [(Objective(), 1), (Objective("symmetric"), 3)])
def test_with_the_plain_mean_the_prompts_alone_have_gradients(objective, accumulate) -> None:
    adapter, tower = make(2, layers=0)
    drawn, clips = draw([0, 2, 3])
    (expected,) = torch.autograd.grad(
        plain_loss(adapter, tower, drawn, clips, objective), adapter.prompt_table
    )
    text_side = TextSide(adapter, tower, adapter.plan(tower.format, NAMES), 128, Ranks())
    slices = shards(BATCH, accumulate)
    step = AdapterStep(adapter, text_side, Ranks(), objective, Stopwatch("cpu"))
    step.gradients(Batch(drawn, slices, [clips[s] for s in slices]))
    assert [name for name, _ in adapter.named_parameters()] == ["prompt_table"]
    torch.testing.assert_close(adapter.prompt_table.grad, expected, rtol=1e-4, atol=1e-6)


def test_plain_texts_are_encoded_once_in_a_run() -> None:
    adapter, tower = make(prompts=0)
    text_side = TextSide(adapter, tower, adapter.plan(tower.format, NAMES), 128, Ranks())
    step = AdapterStep(adapter, text_side, Ranks(), Objective(), Stopwatch("cpu"))
    for texts in ([0, 1, 2], [2, 3, 4]):
        drawn, clips = draw(texts)
        step.gradients(Batch(drawn, [slice(0, BATCH)], [clips]))
    assert tower.encoded == [5]


def test_text_to_video_is_clips_second_half_where_each_text_has_one_clip() -> None:
    logits = torch.randn(6, 9, dtype=torch.float64)
    targets = torch.tensor([8, 0, 3, 5, 1, 2])
    expected = functional.cross_entropy(logits[:, targets].T, torch.arange(6))
    torch.testing.assert_close(text_to_video(logits, targets), expected)


@pytest.mark.parametrize(("count", "pieces"), [(7, 3), (3, 5), (64, 4), (1, 1), (5, 5)])
def test_parts_are_even_and_whole(count: int, pieces: int) -> None:
    sizes = [len(range(count)[part]) for part in shards(count, pieces)]
    assert [index for part in shards(count, pieces) for index in range(count)[part]] == list(range(count))
    assert len(sizes) == pieces and max(sizes) - min(sizes) <= 1


class Memory:
    """A source whose features say where they come from: (video, row)."""

    location = "memory"
    reads = False

    def gather(self, videos: np.ndarray, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.stack([np.broadcast_to(videos[:, None], rows.shape), rows], axis=-1))


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_loaders_of_all_ranks_together_give_the_whole_step(accumulate: int, count: int) -> None:
    clips = ClipStream(0, BATCH, np.arange(9), np.full(9, 40), ClipSampling(FRAMES, [1, 2], [1, 1]))
    sampler = ClassSampler(clips, np.arange(9) % 3, 3, 400)
    streams: list[Iterator[Batch]] = [
        Loader(sampler, Memory(), Ranks(rank, count), accumulate, workers=2).batches(3, 12)
        for rank in range(count)
    ]
    for step in range(3, 13):
        batches = [next(stream) for stream in streams]
        drawn = sampler.draw(step)
        pieces = [torch.cat(clips) for clips in zip(*(batch.clips for batch in batches), strict=True)]
        whole = Memory().gather(drawn.videos, drawn.rows)
        assert [len(piece) for piece in pieces] == [len(whole[s]) for s in batches[0].slices]
        assert torch.equal(torch.cat(pieces), whole)
    assert all(next(stream, None) is None for stream in streams)
