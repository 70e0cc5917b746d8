"""The text tower equals a plain 77-position pass through OpenAI's own transformer, and so do the gradients."""

import clip
import pytest
import torch
from clip.model import CLIP

from featx.clip.text import NOT_A_PROMPT, TextTower, plan_texts, prompt_table_rows

NAMES = ["run", "climb stairs", "a person who is walking slowly up a long hill with a heavy dog " * 3]


def plain_pass(
    model: CLIP, texts: list[str], table: torch.Tensor | None, k: int, layout: str, suffix: bool = True
) -> torch.Tensor:
    """CLIP's own transformer over 77 positions, written the slow and obvious way, text by text."""
    tokenizer = clip.clip._tokenizer
    features = []
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
        x = (x + model.positional_embedding).unsqueeze(1)  # (77, 1, W)
        x = model.ln_final(model.transformer(x)[:, 0])
        features.append(x[len(ids) - 1] @ model.text_projection)
    return torch.stack(features)


@pytest.mark.parametrize("layout", ["sequence", "positional"])
@pytest.mark.parametrize(("k", "suffix"), [(1, True), (4, True), (16, True), (16, False)])
def test_prompted_features_and_gradients_equal_the_plain_pass(
    random_clip: CLIP, layout: str, k: int, suffix: bool
) -> None:
    table = (0.02 * torch.randn(prompt_table_rows(k, layout, suffix), 512)).requires_grad_()
    direction = torch.randn(len(NAMES), 512)
    expected = plain_pass(random_clip, NAMES, table, k, layout, suffix)
    (expected_gradient,) = torch.autograd.grad((expected * direction).sum(), table)
    features = TextTower(random_clip).encode(plan_texts(NAMES, k, layout, suffix), table)
    (gradient,) = torch.autograd.grad((features * direction).sum(), table)
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5)
    scale = expected_gradient.abs().max()
    torch.testing.assert_close(gradient / scale, expected_gradient / scale, rtol=1e-5, atol=1e-5)


def test_plain_text_equals_encode_text(random_clip: CLIP) -> None:
    texts = ["a video of a cat", "climb", "brush hair " * 30]
    expected = random_clip.encode_text(clip.tokenize(texts))
    plan = plan_texts(texts)
    torch.testing.assert_close(TextTower(random_clip).encode(plan), expected, rtol=1e-5, atol=1e-5)


def test_no_weight_takes_a_gradient(random_clip: CLIP) -> None:
    table = torch.randn(8, 512, requires_grad=True)
    TextTower(random_clip).encode(plan_texts(["jump"], 4), table).sum().backward()
    assert table.grad is not None
    assert all(weight.grad is None for weight in random_clip.parameters())


def test_text_that_is_too_long_is_cut_before_eot_and_listed() -> None:
    plan = plan_texts(["cat", "cat " * 60], prompts=16)
    assert plan.truncated == (1,)
    assert plan.token_ids.shape == (2, 77)
    assert plan.eot.tolist() == [34, 76]
    assert plan.token_ids[1, 76] == 49407
    assert (plan.prompt_rows != NOT_A_PROMPT).sum(dim=1).tolist() == [32, 32]


def test_suffix_rows_depend_on_the_length_only_in_the_positional_layout() -> None:
    for layout, expected in [("sequence", [2, 3]), ("positional", [5, 6])]:
        plan = plan_texts(["climb stairs", "cat"], 2, layout)
        assert plan.prompt_rows[0, 5:7].tolist() == expected
    assert plan_texts(["cat"], 2, "sequence").prompt_rows[0, 4:6].tolist() == [2, 3]
    assert plan_texts(["cat"], 2, "positional").prompt_rows[0, 4:6].tolist() == [4, 5]
