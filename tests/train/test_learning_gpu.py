"""What learning and scoring ask of a GPU, without one: tensors that have a device and a shape and no numbers.

`FakeTensorMode` raises where CPU and GPU tensors meet in one operation. The backward pass asks for a driver even there:
it is walked by hand, and each leaf that it would reach gets a gradient.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from clip.model import CLIP
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from featx.clip.text_plan import PackedTexts, TextPlan
from featx.encoders.openai_text import openai_format
from featx.encoders.text import TextTower
from featx.features.clips import ClipSampling
from featx.features.sources import RowSpans
from featx.localisation.detector import Detector
from featx.localisation.detector_config import DetectorConfig
from featx.model.adapter import Adapter
from featx.model.adapter_config import AdapterConfig
from featx.scoring.clip_scores import encode_videos, pool_videos, score_videos
from featx.train.adapter.joint_episodes import JointStep
from featx.train.adapter.loader import Batch, read_ahead
from featx.train.adapter.losses import Objective
from featx.train.adapter.sampler import ClipDraw
from featx.train.adapter.step import AdapterStep, TextSide
from featx.train.detector.loader import ProposalBatch
from featx.train.detector.step import ProposalStep
from featx.train.engine.ranks import Ranks
from featx.train.engine.stopwatch import Stopwatch

WIDTH = 64
NAMES = ["run", "jump high", "climb stairs"]


def backward(self: torch.Tensor, gradient: torch.Tensor | None = None) -> None:
    assert gradient is None or gradient.device == self.device
    todo, seen = [self.grad_fn], set()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        todo += [following for following, _ in node.next_functions]
        if hasattr(node, "variable"):
            node.variable.grad = torch.zeros_like(node.variable)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pack = TextPlan._pack

    def packed(
        self: TextPlan,
    ) -> PackedTexts:  # how many rows there are depends on numbers; it is done on the CPU
        with unset_fake_temporarily():
            there = pack(replace(self, device="cpu"))
        return there.to(self.device)

    monkeypatch.setattr(TextPlan, "_pack", packed)
    monkeypatch.setattr(torch.Tensor, "backward", backward)
    with FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv()):
        yield


def made(config: AdapterConfig, precision: str = "fp32") -> tuple[Adapter, TextTower]:
    with torch.device("cuda"):
        adapter, model = Adapter(config, WIDTH, WIDTH), CLIP(64, 32, 1, 64, 32, 77, 49408, 64, 1, 3)
    return adapter, TextTower(model.requires_grad_(False), precision)  # type: ignore[arg-type]


def plan_of(adapter: Adapter) -> TextPlan:
    with unset_fake_temporarily():  # texts are laid out on the CPU
        return replace(adapter.plan(openai_format(), NAMES), device="cuda")


def draw() -> ClipDraw:
    return ClipDraw(np.arange(2), np.zeros((2, 16), int), np.arange(3), np.array([0, 2]))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize(("prompts", "layers", "symmetric"), [(4, 1, False), (4, 0, False), (0, 1, True)])
def test_a_step_of_an_adapter_stays_on_the_gpu(gpu, precision, prompts, layers, symmetric) -> None:
    adapter, tower = made(AdapterConfig(prompts=prompts, layers=layers, heads=4), precision)
    plan = plan_of(adapter)
    ranks = Ranks(device="cuda")
    side = TextSide(adapter, tower, plan, WIDTH, ranks)
    clips = torch.zeros(2, 16, WIDTH, dtype=torch.float16, device="cuda")
    step = AdapterStep(
        adapter, side, ranks, Objective("symmetric" if symmetric else "video-to-text"), Stopwatch("cpu")
    )
    loss, right = step.gradients(Batch(draw(), [slice(0, 2)], [clips]))
    assert loss.device.type == right.device.type == "cuda"
    assert all(p.grad is not None and p.grad.device.type == "cuda" for p in adapter.parameters())
    assert len(list(adapter.parameters()))


@pytest.mark.parametrize("layers", [0, 1])
def test_a_step_of_several_episodes_stays_on_the_gpu(gpu, layers) -> None:
    config = AdapterConfig(prompts=4, layers=layers, positions=True, heads=4)
    (one, tower), (other, _) = made(config), made(config)
    plans = [plan_of(one), plan_of(other)]
    with unset_fake_temporarily():
        step = JointStep(torch.nn.ModuleList([one, other]), plans, tower, Objective(), Stopwatch("cpu"))
    clips = torch.zeros(4, 16, WIDTH, device="cuda")
    drawn = replace(draw(), targets=np.array([0, 2, 1, 1]))
    loss, _ = step.gradients(Batch(drawn, [slice(0, 4)], [clips]))
    assert loss.device.type == "cuda"
    assert all(p.grad is not None for adapter in (one, other) for p in adapter.parameters())


@pytest.mark.parametrize("full_last", [False, True])
def test_a_step_of_a_detector_stays_on_the_gpu(gpu, full_last: bool) -> None:
    grid = {"grid_steps": 24} if full_last else {"grid_step_s": 0.1}
    config = DetectorConfig(width=16, heads=2, levels=3, window=5, full_last=full_last, **grid)
    with torch.device("cuda"):
        detector = Detector(config, WIDTH)
        points = sum(-(-24 // stride) for stride in config.strides)
        batch = ProposalBatch(
            features=torch.zeros(2, 24, WIDTH, dtype=torch.float16),
            mask=torch.ones(2, 24, dtype=torch.bool),
            keep=torch.ones(detector.branches, 2),
            score=torch.zeros(2, points),
            distances=torch.zeros(2, points, 2),
            counts=torch.ones(2, points, dtype=torch.bool),
            learning=3,
        )
    step = ProposalStep(detector, Ranks(device="cuda"), 0.1, 2.0, Stopwatch("cpu"))
    loss, overlap = step.gradients(batch)
    assert loss.device.type == overlap.device.type == "cuda"
    assert all(p.grad is not None and p.grad.device.type == "cuda" for p in detector.parameters())


class InMemory:
    """Features that come from a disk."""

    location = "the store"
    reads = True

    def gather(self, videos: np.ndarray, rows: np.ndarray) -> torch.Tensor:
        return torch.zeros(*rows.shape, WIDTH, dtype=torch.float16)


PLACED = RowSpans.whole(np.array([5, 40, 90])), ClipSampling(16, [1, 2], [1.0, 1.0], clips=5)


@torch.no_grad()
@pytest.mark.parametrize("layers", [0, 2])
def test_scoring_and_pooling_stay_on_the_gpu(gpu, layers) -> None:
    """Re-ranking of a search and matching of sentences begin with the same two."""
    adapter, tower = made(AdapterConfig(prompts=4, layers=layers, heads=4))
    text = adapter.encode_texts(tower, plan_of(adapter))
    clips = encode_videos(adapter, InMemory(), *PLACED, "cuda")
    pooled = pool_videos(adapter, InMemory(), *PLACED, "cuda")
    assert clips.shape == (3, 5, WIDTH) and pooled.shape == (3, WIDTH)
    assert (pooled @ text.T).device.type == (clips @ text.T).device.type == "cuda"


def test_no_videos_have_no_scores() -> None:
    """As of a rank where there are fewer videos than ranks."""
    adapter = Adapter(AdapterConfig(prompts=4, layers=1, heads=4), WIDTH, WIDTH)
    nothing = RowSpans.whole(np.zeros(0, np.int64)), PLACED[1]
    assert encode_videos(adapter, InMemory(), *nothing).shape == (0, 5, WIDTH)
    assert pool_videos(adapter, InMemory(), *nothing).shape == (0, WIDTH)
    assert score_videos(adapter, torch.zeros(3, WIDTH), InMemory(), *nothing).shape == (0, 3)


def test_threads_that_read_ahead_use_the_gpu_that_they_read_for(monkeypatch) -> None:
    """Page-locked memory belongs to the thread's current GPU, which is the first one unless it is told."""
    told: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", told.append)
    assert list(read_ahead(lambda step: step, 1, 9, 2, "cuda:1")) == list(range(1, 10))
    assert set(told) == {1}
    told.clear()
    assert list(read_ahead(lambda step: step, 1, 9, 2, "cpu")) == list(range(1, 10)) and not told
