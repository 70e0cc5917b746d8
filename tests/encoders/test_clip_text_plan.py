"""Where tokens and prompts go, and what texts share."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.clip.text_plan import BUCKETS, NOT_A_PROMPT, plan_texts, prompt_table_rows
from featx.encoders.load import load_model
from featx.encoders.openai_text import openai_format
from featx.encoders.text import TextTower


def test_text_that_is_too_long_is_cut_before_eot_and_listed() -> None:
    plan = plan_texts(openai_format(), ["cat", "cat " * 60], prompts=16)
    assert plan.truncated == (1,)
    assert plan.token_ids.shape == (2, 77)
    assert plan.feature_at.tolist() == [34, 76]
    assert plan.token_ids[1, 76] == 49407
    assert (plan.prompt_rows != NOT_A_PROMPT).sum(dim=1).tolist() == [32, 32]


def test_suffix_rows_depend_on_the_length_only_in_the_positional_layout() -> None:
    for layout, expected in [("sequence", [2, 3]), ("positional", [5, 6])]:
        plan = plan_texts(openai_format(), ["climb stairs", "cat"], 2, layout)
        assert plan.prompt_rows[0, 5:7].tolist() == expected
    assert plan_texts(openai_format(), ["cat"], 2, "sequence").prompt_rows[0, 4:6].tolist() == [2, 3]
    assert plan_texts(openai_format(), ["cat"], 2, "positional").prompt_rows[0, 4:6].tolist() == [4, 5]


def test_without_suffix_eot_follows_the_text() -> None:
    plan = plan_texts(openai_format(), ["climb stairs", "cat " * 80], 16, suffix=False)
    assert plan.feature_at.tolist() == [19, 76]
    assert (plan.prompt_rows != NOT_A_PROMPT).sum(dim=1).tolist() == [16, 16]


def test_what_all_texts_begin_with_is_shared() -> None:
    assert plan_texts(openai_format(), ["cat", "dog"]).prefix == 1  # SOT
    assert plan_texts(openai_format(), ["cat", "dog"], 16).prefix == 17
    assert plan_texts(openai_format(), ["cat nap", "cat"], 16).prefix == 18  # and a word
    assert plan_texts(openai_format(), ["a video of a cat", "a video of a dog"]).prefix == 5
    assert plan_texts(openai_format(), ["cat", "cat"]).prefix == 2  # never EOT, which is where a text is read


def test_packed_rows_are_the_texts_without_padding() -> None:
    for prompts in (0, 3):
        plan = plan_texts(openai_format(), ["ride a horse", "cat", "run"], prompts)
        packed = plan.packed
        token_ids = packed.token_ids[packed.inputs]
        own = token_ids[plan.prefix :].split((plan.lengths - plan.prefix).tolist())
        for text, ids in enumerate(own):
            whole = torch.cat([token_ids[: plan.prefix], ids])
            assert torch.equal(whole, plan.token_ids[text, : plan.lengths[text]])
        assert (token_ids[packed.feature_rows] == 49407).all()
        assert len(packed.inputs) == plan.prefix + int((plan.lengths - plan.prefix).sum())


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 70), min_size=1, max_size=40),
    st.sampled_from([(0, True), (4, True), (4, False)]),
    st.integers(0, 1000),
)
def test_sizes_in_buckets_change_nothing(lengths: list[int], prompts: tuple[int, bool], seed: int) -> None:
    """Features and the prompts' gradient are those without padding, and the sizes are rounded up."""
    texts = [" ".join(["cat"] * length) for length in lengths]
    plan = plan_texts(openai_format(), texts, prompts[0], "sequence", prompts[1])
    wide = replace(plan, in_buckets=True)
    packed = wide.packed
    assert len(packed.feature_rows) % BUCKETS["texts"] == 0 and len(packed.mask) % BUCKETS["slots"] == 0
    assert len(packed.token_ids) % BUCKETS["rows"] == 0
    most = len(packed.feature_rows) * len(packed.mask) + packed.mask.shape[1] - len(packed.mask)
    assert len(packed.inputs) % BUCKETS["rows"] == 0 or len(packed.inputs) == most
    assert len(set(packed.slots.tolist())) == len(packed.slots)
    tower = TextTower(load_model("tiny").model)
    rows = prompt_table_rows(prompts[0], "sequence", prompts[1])
    table = (
        torch.randn(rows, 64, generator=torch.Generator().manual_seed(seed)).requires_grad_()
        if rows
        else None
    )
    one, two = tower.encode(plan, table), tower.encode(wide, table)
    assert two.shape == one.shape
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)
    if table is not None:
        gradients = [torch.autograd.grad(features.square().sum(), table)[0] for features in (one, two)]
        torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-4)


def test_batches_of_sentences_have_few_sizes_in_buckets() -> None:
    """Sentences as long as MSR-VTT's (mean 9.6 tokens, 95% up to 18), 64 in a step."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.gamma(4, 2.4, 1000).round().astype(int), 2, 31)
    plan = plan_texts(openai_format(), [" ".join(["cat"] * length) for length in lengths], prompts=4)
    sizes: dict[bool, set[tuple[int, ...]]] = {False: set(), True: set()}
    for _ in range(40):
        chosen = np.sort(rng.choice(1000, 64, replace=False))
        for in_buckets, seen in sizes.items():
            packed = replace(plan.choose(chosen), in_buckets=in_buckets).packed
            seen.add(
                (len(packed.inputs), len(packed.token_ids), *packed.mask.shape, len(packed.feature_rows))
            )
    print(f"{len(sizes[False])} sizes, in buckets {len(sizes[True])}")
    assert len(sizes[False]) > 35 and len(sizes[True]) <= 8
