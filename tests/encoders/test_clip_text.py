"""The text tower equals a plain 77-position pass through OpenAI's own transformer, and so do the gradients."""

import copy
import shutil
from functools import partial

import clip
import numpy as np
import pytest
import torch
from clip.model import CLIP
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from featx.clip.frozen_block import attention
from featx.encoders.openai_text import openai_format
from featx.encoders.text import TextTower, group_plans, plan_texts, prompt_table_rows

WORDS = [
    "run",
    "jump",
    "climb",
    "stairs",
    "brush",
    "hair",
    "ride",
    "horse",
    "throw",
    "ball",
    "play",
    "guitar",
]  # one token each


def names_of(lengths: list[int]) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, length)) for length in lengths]


def plain_pass(
    model: CLIP, texts: list[str], table: torch.Tensor | None, k: int, layout: str, suffix: bool = True
) -> torch.Tensor:
    """CLIP's own transformer over 77 positions of every text, written the slow and obvious way."""
    tokenizer = clip.clip._tokenizer
    inputs, eots = [], []
    for text in texts:
        after_text = k if suffix else 0
        tokens = tokenizer.encode(text)[: 75 - k - after_text]
        ids = [49406, *[0] * k, *tokens, *[0] * after_text, 49407]
        n = len(tokens)
        x = model.token_embedding(torch.tensor(ids + [0] * (77 - len(ids)))).clone()
        for i in range(k):
            before, after = 1 + i, 1 + k + n + i
            x[before] = table[before if layout == "positional" else i]
            if suffix:
                x[after] = table[after if layout == "positional" else k + i]
        inputs.append(x + model.positional_embedding)
        eots.append(len(ids) - 1)
    x = model.ln_final(model.transformer(torch.stack(inputs, dim=1)))  # (77, C, W)
    return x[eots, torch.arange(len(texts))] @ model.text_projection


def gradient_of(features: torch.Tensor, table: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    direction = torch.randn(features.shape, generator=torch.Generator().manual_seed(1)).to(features)
    return torch.autograd.grad((features * direction).sum() * scale, table)[0]


def error(ours: torch.Tensor, expected: torch.Tensor) -> float:
    ours, expected = ours.detach(), expected.detach()
    return ((ours - expected).abs().max() / expected.abs().max()).item()


def prompts(k: int, layout: str = "sequence", suffix: bool = True, width: int = 512) -> torch.Tensor:
    rows = prompt_table_rows(k, layout, suffix)
    return (0.02 * torch.randn(rows, width, generator=torch.Generator().manual_seed(2))).requires_grad_()


def in_float64(model: CLIP) -> CLIP:
    """A copy in float64, with a LayerNorm that leaves it at that: CLIP's own rounds to float32."""
    model = copy.deepcopy(model).double()
    for module in model.modules():
        if isinstance(module, clip.model.LayerNorm):
            module.__class__ = torch.nn.LayerNorm
    return model


@pytest.fixture(scope="session")
def random_clip_64(random_clip: CLIP) -> CLIP:
    return in_float64(random_clip)


@pytest.fixture(scope="session")
def small_clip() -> CLIP:
    """Four text layers of width 64, for what does not hang on the size."""
    torch.manual_seed(0)
    return CLIP(32, 32, 1, 64, 32, 77, 49408, 64, 4, 4).float().eval()


def check_against_plain_pass(
    model: CLIP, names: list[str], k: int, layout: str, suffix: bool, limit: float
) -> None:
    width = model.token_embedding.embedding_dim
    table = prompts(k, layout, suffix, width).detach().to(model.text_projection).requires_grad_()
    expected = plain_pass(model, names, table, k, layout, suffix)
    features = TextTower(model).encode(plan_texts(openai_format(), names, k, layout, suffix), table)
    assert features.dtype == table.dtype
    errors = error(features, expected), error(gradient_of(features, table), gradient_of(expected, table))
    print(f"relative error of features {errors[0]:.1e}, of the prompts' gradient {errors[1]:.1e}")
    assert max(errors) < limit


@pytest.mark.parametrize(
    ("layout", "suffix"), [("sequence", True), ("positional", True), ("sequence", False)]
)
def test_features_and_gradients_equal_the_plain_pass(
    random_clip: CLIP, random_clip_64: CLIP, layout: str, suffix: bool
) -> None:
    names = names_of([1, 3, 20, 43, 80])  # 43 just fits between 16 and 16 prompts, 80 is cut
    check_against_plain_pass(random_clip_64, names, 16, layout, suffix, 1e-12)
    check_against_plain_pass(random_clip, names, 16, layout, suffix, 1e-5)


@pytest.mark.parametrize("layout", ["sequence", "positional"])
@pytest.mark.parametrize("suffix", [True, False])
@pytest.mark.parametrize("k", [1, 16])
def test_every_length_of_name_equals_the_plain_pass(
    small_clip: CLIP, k: int, layout: str, suffix: bool
) -> None:
    room = 75 - k - (k if suffix else 0)
    check_against_plain_pass(
        in_float64(small_clip), names_of([*range(1, room + 2)]), k, layout, suffix, 1e-12
    )


def test_plain_text_equals_encode_text(random_clip: CLIP, random_clip_64: CLIP) -> None:
    texts = ["a video of a cat", "climb", "brush hair " * 20, *names_of([1, 2, 43])]
    for model, limit in ((random_clip_64, 1e-12), (random_clip, 1e-5)):
        expected = model.encode_text(clip.tokenize(texts))
        assert error(TextTower(model).encode(plan_texts(openai_format(), texts)), expected) < limit


@pytest.mark.parametrize(("precision", "of_gradients"), [("bf16", 0.999), ("fp16", 0.9999)])
def test_reduced_precision_points_the_same_way(
    random_clip: CLIP, precision: str, of_gradients: float
) -> None:
    plan, table = plan_texts(openai_format(), names_of([1, 2, 4]), 8), prompts(8)
    expected = TextTower(random_clip).encode(plan, table)
    features = TextTower(random_clip, precision).encode(plan, table)
    assert features.dtype == torch.float32
    of_features = functional.cosine_similarity(features, expected)
    found = functional.cosine_similarity(
        gradient_of(features, table).flatten(), gradient_of(expected, table).flatten(), dim=0
    )
    print(f"{precision}: cosine of features {of_features.min():.6f}, of gradients {found:.6f}")
    assert of_features.min() > 0.999
    assert found > of_gradients


def test_fp16_does_not_lose_small_gradients(small_clip: CLIP) -> None:
    plan, table = plan_texts(openai_format(), names_of([1, 3]), 4), prompts(4, width=64)
    tower = TextTower(small_clip, "fp16")
    usual, small = (gradient_of(tower.encode(plan, table), table, scale) for scale in (1.0, 1e-9))
    torch.testing.assert_close(small * 1e9, usual, rtol=1e-4, atol=1e-6)


def test_attention_by_hand_equals_the_fused_one() -> None:
    plan = plan_texts(openai_format(), names_of([1, 5, 3]), 4)
    longest, seen = plan.packed.mask.shape
    query = torch.randn(3, 2, longest, 8)
    key, value = torch.randn(2, 3, 2, seen, 8)
    for part, mask in ((query, plan.packed.mask), (query[:, :, :1], plan.packed.feature_mask)):
        expected = functional.scaled_dot_product_attention(part, key, value, attn_mask=mask)
        torch.testing.assert_close(attention(part, key, value, mask), expected)


def test_no_weight_takes_a_gradient(small_clip: CLIP) -> None:
    table = prompts(4, width=64)
    TextTower(small_clip).encode(plan_texts(openai_format(), ["jump"], 4), table).sum().backward()
    assert table.grad is not None
    assert all(weight.grad is None for weight in small_clip.parameters())


@pytest.mark.parametrize("suffix", [True, False])
def test_the_work_is_what_is_claimed(small_clip: CLIP, suffix: bool) -> None:
    """Matrix products see each own row once and the shared ones once; the backward pass does no more."""
    lengths, k, width, layers, features = [1, 1, 2, 4, 1], 16, 64, 4, 32
    plan, table = (
        plan_texts(openai_format(), names_of(lengths), k, suffix=suffix),
        prompts(k, suffix=suffix, width=width),
    )
    after = k if suffix else 0
    rows = (1 + k) + sum(n + after + 1 for n in lengths)
    # Before attention a prompt is told from others by its position alone, EOT too: by the name's length.
    words = len({(name.split()[i], i) for name in names_of(lengths) for i in range(len(name.split()))})
    distinct = (1 + k) + words + (after + 1) * len(set(lengths))
    in_first = distinct * 3 + rows * 9
    in_last = rows * 2 + len(lengths) * 10
    products = (in_first + rows * 12 * (layers - 2) + in_last) * width**2 + len(lengths) * width * features

    def counted(work) -> int:
        with FlopCounterMode(display=False) as counter:
            work()
        counts = counter.get_flop_counts()["Global"]
        return sum(count for operation, count in counts.items() if "bmm" not in str(operation))

    encoded = []
    assert counted(lambda: encoded.append(TextTower(small_clip).encode(plan, table))) == 2 * products
    assert counted(lambda: encoded[0].sum().backward()) == 2 * products


def test_nothing_is_kept_that_only_weights_would_need(small_clip: CLIP) -> None:
    """Of a block's (N, W) and (N, 4W): what enters each LayerNorm, and what enters QuickGELU."""
    plan, table = plan_texts(openai_format(), names_of([1, 1, 2, 4]), 4), prompts(4, width=64)
    kept: dict[int, tuple[int, ...]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tuple(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        features = TextTower(small_clip).encode(plan, table)
    shapes = list(kept.values())
    rows = len(plan.packed.inputs)
    assert features.requires_grad
    assert shapes.count((rows, 4 * 64)) == 3  # four layers, of which the last has a row for each text only
    assert shapes.count((rows, 64)) == 2 * 3  # the first LayerNorm sees the distinct inputs, the last EOT's
    assert not any(shape in shapes for shape in ((rows, 2 * 64), (rows, 3 * 64)))


def test_checkpointing_changes_nothing(small_clip: CLIP) -> None:
    plan, table = plan_texts(openai_format(), names_of([1, 2, 4]), 4), prompts(4, width=64)
    kept, recomputed = (TextTower(small_clip, checkpoint=on).encode(plan, table) for on in (False, True))
    assert torch.equal(kept, recomputed)
    assert torch.equal(gradient_of(kept, table), gradient_of(recomputed, table))


@pytest.mark.parametrize(
    "backend",
    [
        "aot_eager",  # traced, with shapes that change, but no kernels made: seconds instead of minutes
        pytest.param(
            "inductor",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(not shutil.which("g++"), reason="kernels need a C++ compiler"),
            ],
        ),
    ],
)
def test_compiled_equals_eager_whatever_is_chosen(
    small_clip: CLIP, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    plan, table = plan_texts(openai_format(), names_of([1, 2, 4, 3, 1]), 4), prompts(4, width=64)
    eager, compiled = TextTower(small_clip), TextTower(small_clip, compile=True)
    for classes in ([0, 1, 2, 3, 4], [3, 1]):
        expected, found = (tower.encode(plan.choose(np.array(classes)), table) for tower in (eager, compiled))
        assert error(found, expected) < 1e-5
        assert error(gradient_of(found, table), gradient_of(expected, table)) < 1e-5


@pytest.mark.parametrize("classes", [[4, 0, 2], [3], [1, 1], [0, 1, 2, 3, 4]])
@pytest.mark.parametrize("layout", ["sequence", "positional"])
def test_choosing_and_encoding_commute(small_clip: CLIP, classes: list[int], layout: str) -> None:
    plan, table = (
        plan_texts(openai_format(), names_of([1, 3, 90, 5, 2]), 4, layout),
        prompts(4, layout, width=64),
    )
    tower, chosen = TextTower(small_clip), plan.choose(np.array(classes))
    assert len(plan) == 5 and len(chosen) == len(classes)
    assert [classes[index] for index in chosen.truncated] == [index for index in classes if index == 2]
    expected, found = tower.encode(plan, table)[classes], tower.encode(chosen, table)
    assert error(found, expected) < 1e-5
    assert error(gradient_of(found, table), gradient_of(expected, table)) < 1e-5


def test_a_plan_that_evaluation_used_first_serves_training_too(small_clip: CLIP) -> None:
    tower, table = TextTower(small_clip), prompts(4, width=64)
    with torch.inference_mode():
        plan = plan_texts(openai_format(), names_of([1, 2]), 4)
        expected = tower.encode(plan, table)
    features = tower.encode(plan, table)
    torch.testing.assert_close(features, expected.clone())
    assert gradient_of(features, table).abs().max() > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-3), ("bf16", 5e-2), ("fp16", 1e-2)])
def test_a_gpu_computes_the_same(small_clip: CLIP, precision: str, limit: float) -> None:
    plan, table = plan_texts(openai_format(), names_of([1, 2, 3, 20, 43]), 16), prompts(16, width=64)
    expected = TextTower(small_clip).encode(plan, table)
    on_gpu = table.detach().cuda().requires_grad_()
    found = TextTower(copy.deepcopy(small_clip).cuda(), precision).encode(plan.to("cuda"), on_gpu)
    assert error(found.cpu(), expected) < limit
    assert error(gradient_of(found, on_gpu).cpu(), gradient_of(expected, table)) < limit


@pytest.mark.parametrize("layout", ["sequence", "positional"])
def test_groups_with_prompts_of_their_own_equal_one_pass_each(random_clip: CLIP, layout: str) -> None:
    k, model = 3, in_float64(random_clip)
    groups = [["climb stairs", "run"], ["ride a horse", "ride a bike"], ["brush hair", "jump"]]
    tower = TextTower(model)
    tables = [(seed * prompts(k, layout).detach().double()).requires_grad_() for seed in (1.0, -2.0, 0.5)]
    plans = [plan_texts(openai_format(), texts, k, layout) for texts in groups]
    together = tower.encode(group_plans(plans, len(tables[0])), torch.cat(tables))  # (6, D)
    for index, (plan, table) in enumerate(zip(plans, tables, strict=True)):
        own = together[2 * index : 2 * index + 2]
        alone = tower.encode(plan, table)
        assert error(own, alone) < 1e-12
        gradient = torch.autograd.grad(own.square().sum(), table, retain_graph=True)[0]
        assert error(gradient, torch.autograd.grad(alone.square().sum(), table)[0]) < 1e-12
