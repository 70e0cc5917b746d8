"""Text encoders of other shapes than CLIP's: the fast tower equals a plain pass over all positions, gradients too."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from featx.clip.text_format import SAVINGS, FeatureAt, Mask, TextFormat
from featx.clip.text_plan import plan_texts, prompt_table_rows
from featx.clip.text_weights import Activation, Affine, BlockWeights, Norm, TextEncoder, TextWeights
from featx.encoders.text import TextTower
from featx.errors import FeatxError

WIDTH, POSITIONS, VOCABULARY, HEADS = 16, 50, 30, 2
PLAIN = {
    "quickgelu": lambda x: x * torch.sigmoid(1.702 * x),
    "gelu": functional.gelu,
    "gelu-tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
}


def random(*shape: int) -> torch.Tensor:
    return 0.4 * torch.randn(shape, dtype=torch.float64)


def make_encoder(mask: Mask, at: FeatureAt, activation: Activation, norm_first: bool) -> TextEncoder:
    torch.manual_seed(0)

    def norm() -> Norm:
        return Norm(1 + random(WIDTH), random(WIDTH), 1e-6)

    blocks = tuple(
        BlockWeights(
            norm(),
            Affine(random(3 * WIDTH, WIDTH), random(3 * WIDTH)),
            Affine(random(WIDTH, WIDTH), random(WIDTH)),
            norm(),
            Affine(random(24, WIDTH), random(24)),
            Affine(random(WIDTH, 24), random(WIDTH)),
        )
        for _ in range(3)
    )
    weights = TextWeights(
        random(VOCABULARY, WIDTH),
        random(POSITIONS, WIDTH),
        blocks,
        random(WIDTH, 8),
        HEADS,
        activation,
        norm_first,
        None if norm_first else norm(),
        norm() if norm_first else None,
        random(8),
    )
    start = (1,) if at != "last" else ()
    form = TextFormat(
        lambda text: [int(word) for word in text.split()], str, start, (2,), 3, POSITIONS, mask, at
    )
    return TextEncoder(form, weights)


def plain_pass(
    encoder: TextEncoder, texts: list[str], table: torch.Tensor | None, k: int, suffix: bool, layout: str
) -> torch.Tensor:
    """Every text alone over all positions, written the slow and obvious way."""
    form, weights, features = encoder.format, encoder.weights, []
    for text in texts:
        tokens = form.tokenize(text)[: form.room(k, suffix)]
        before, after = k, k if suffix else 0
        ids = [*form.start, *[0] * before, *tokens, *[0] * after, *form.end]
        length = len(ids)
        x = weights.words[torch.tensor(ids + [form.padding] * (POSITIONS - length))].clone()
        for i in range(k):
            places = [len(form.start) + i] + ([len(form.start) + k + len(tokens) + i] if suffix else [])
            for half, place in enumerate(places):
                x[place] = table[place if layout == "positional" else half * k + i]
        x = x + weights.positions
        if weights.input_norm:
            x = weights.input_norm(x)
        row, key = torch.arange(POSITIONS)[:, None], torch.arange(POSITIONS)
        seen = {
            "causal": key <= row,
            "padding": key.expand_as(row + key) < length,
            "none": key.expand_as(row + key) >= 0,
        }[form.mask]
        for block in weights.blocks:
            y = block.norm_1(x) if weights.norm_first else x
            q, k_, v = block.qkv(y).view(POSITIONS, 3, HEADS, -1).permute(1, 2, 0, 3)
            attended = functional.scaled_dot_product_attention(q, k_, v, attn_mask=seen)
            x = x + block.out(attended.transpose(0, 1).flatten(1))
            x = x if weights.norm_first else block.norm_1(x)
            y = block.norm_2(x) if weights.norm_first else x
            x = x + block.down(PLAIN[weights.activation](block.up(y)))
            x = x if weights.norm_first else block.norm_2(x)
        place = {"end": length - 1, "first": 0, "last": POSITIONS - 1}[form.feature_at]
        x = weights.final_norm(x[place]) if weights.final_norm else x[place]
        features.append(x @ weights.projection + weights.projection_bias)
    return torch.stack(features)


SHAPES = [
    pytest.param("causal", "end", "quickgelu", True, id="OpenAI's CLIP"),
    pytest.param("causal", "end", "gelu", True, id="open_clip's CLIP"),
    pytest.param("padding", "first", "gelu", False, id="ALIGN"),
    pytest.param("padding", "end", "relu", True, id="padding masked, read at EOT"),
    pytest.param("none", "last", "gelu-tanh", True, id="SigLIP"),
    pytest.param("none", "end", "gelu", True, id="nothing masked, read at EOT"),
]  # fmt: skip


LENGTHS = (1, 3, 7, 1, 46)  # the last one is cut where prompts stand around it


def names_of(lengths: tuple[int, ...]) -> list[str]:
    generator = torch.Generator().manual_seed(3)
    return [
        " ".join(map(str, torch.randint(4, VOCABULARY, (n,), generator=generator).tolist())) for n in lengths
    ]


@pytest.mark.parametrize(("mask", "at", "activation", "norm_first"), SHAPES)
@pytest.mark.parametrize(
    ("k", "suffix", "layout"),
    [(0, True, "sequence"), (4, True, "sequence"), (4, False, "sequence"), (3, True, "positional")],
)
@pytest.mark.parametrize("in_buckets", [False, True])
def test_features_and_gradients_equal_the_plain_pass(
    mask, at, activation, norm_first, k, suffix, layout, in_buckets
) -> None:
    encoder, texts = make_encoder(mask, at, activation, norm_first), names_of(LENGTHS)
    rows = prompt_table_rows(k, layout, suffix, POSITIONS)
    table = random(rows, WIDTH).requires_grad_() if k else None
    plan = replace(plan_texts(encoder.format, texts, k, layout, suffix), in_buckets=in_buckets)
    assert plan.truncated == ((4,) if k else ())
    ours, theirs = (
        TextTower(encoder).encode(plan, table),
        plain_pass(encoder, texts, table, k, suffix, layout),
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    if table is not None:
        gradients = [torch.autograd.grad(one.sin().sum(), table)[0] for one in (ours, theirs)]
        torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("mask", "at", "activation", "norm_first"), SHAPES)
def test_the_savings_that_are_on_are_those_that_the_format_names(mask, at, activation, norm_first) -> None:
    encoder = make_encoder(mask, at, activation, norm_first)
    plan = plan_texts(encoder.format, names_of((1, 3, 7, 1)), 2)
    packed = plan.packed
    rows, marks = len(packed.inputs), len(encoder.format.start) + len(encoder.format.end)
    own = sum(n + 4 + marks for n in (1, 3, 7, 1))  # without padding, nothing shared
    found = {
        "trim": plan.token_ids.shape[1] < POSITIONS,
        "shared prefix": packed.prefix > 0,
        "packed rows": rows < 4 * plan.token_ids.shape[1] - 3 * packed.prefix,
        "last layer at the feature": len(packed.feature_rows) == 4,
        "distinct inputs": len(packed.token_ids) < rows,
    }
    assert {saving: saving in encoder.format.savings for saving in SAVINGS} == found
    assert rows == {"causal": own - 3 * packed.prefix, "padding": own, "none": 4 * POSITIONS}[mask]


def test_what_the_savings_are() -> None:
    forms = {
        mask: make_encoder(mask, "end", "gelu", True).format.savings for mask in ("causal", "padding", "none")
    }
    assert forms == {
        "causal": ("trim", "shared prefix", "packed rows", "last layer at the feature", "distinct inputs"),
        "padding": ("trim", "packed rows", "last layer at the feature", "distinct inputs"),
        "none": ("last layer at the feature", "distinct inputs"),
    }


def test_prompts_that_leave_no_room_are_refused_with_how_many_do() -> None:
    form = make_encoder("causal", "end", "gelu", True).format
    most = form.most_prompts()
    assert len(plan_texts(form, ["5"], most)) == 1 and form.room(most) >= 1
    with pytest.raises(FeatxError, match=f"50 positions.*give at most {most}$"):
        plan_texts(form, ["5"], most + 1)
    assert form.most_prompts(suffix=False) == 47


def test_groups_have_prompts_of_their_own() -> None:
    for mask, at, activation, norm_first in (one.values for one in SHAPES):
        encoder = make_encoder(mask, at, activation, norm_first)
        tower, texts = TextTower(encoder), names_of((2, 5))
        tables = random(2, 8, WIDTH)
        together = tower.encode(tower.plan(texts, 4, per_text=True), tables.flatten(0, 1))
        alone = [
            tower.encode(tower.plan([text], 4), table) for text, table in zip(texts, tables, strict=True)
        ]
        torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-12)
