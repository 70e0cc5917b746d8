"""`featx.TextTower` in somebody's own prompt method: features and gradients of a plain pass through clip's own module."""

import clip
import pytest
import torch
from clip.model import CLIP

import featx
from featx.encoders.load import load_model

NAMES = ["star growing", "red circle", "a very long name of a thing that moves about", "star"]


def double_clip() -> CLIP:
    """The tiny CLIP in float64, with a LayerNorm that leaves it at that: CLIP's own rounds to float32."""
    model = load_model("tiny").model.double()
    for module in model.modules():
        if isinstance(module, clip.model.LayerNorm):
            module.__class__ = torch.nn.LayerNorm
    return model


def plain(model: CLIP, names: list[str], tables: list[torch.Tensor], k: int) -> torch.Tensor:
    """k vectors of each name's table, the name, k vectors, over 77 positions of CLIP's own transformer."""
    rows, ends = [], []
    for name, table in zip(names, tables, strict=True):
        tokens = clip.clip._tokenizer.encode(name)
        start, *words, end = model.token_embedding(torch.tensor([49406, *tokens, 49407]))
        some = [start, *table[:k], *words, *table[k:], end]
        ends.append(len(some) - 1)
        rows.append(torch.stack(some + [model.token_embedding.weight[0]] * (77 - len(some))))
    x = torch.stack(rows) + model.positional_embedding
    x = model.ln_final(model.transformer(x.transpose(0, 1)).transpose(0, 1))
    return x[range(len(names)), ends] @ model.text_projection


@pytest.mark.parametrize("per_text", [False, True], ids=["one table", "a table for each text"])
def test_a_method_of_ones_own_has_the_exact_features_and_gradients(per_text: bool) -> None:
    """The vectors come out of a network, as in methods that make prompts of something else."""
    model, k = double_clip(), 4
    tower = featx.TextTower(model)
    plan = tower.plan(NAMES, prompts=k, per_text=per_text)
    assert plan.prompt_count == (len(NAMES) if per_text else 1) * 2 * k
    torch.manual_seed(0)
    seeds = torch.randn(plan.prompt_count, 8, dtype=torch.float64)
    network = torch.nn.Linear(8, tower.width).double()

    def gradients(features: torch.Tensor) -> list[torch.Tensor]:
        return list(
            torch.autograd.grad(
                (features * torch.linspace(-1, 1, features.numel()).view_as(features)).sum(),
                network.parameters(),
            )
        )

    ours = tower.encode(plan, network(seeds))
    table = network(seeds)
    tables = list(table.split(2 * k)) if per_text else [table] * len(NAMES)
    theirs = plain(model, NAMES, tables, k)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-10)
    for one, other in zip(gradients(ours), gradients(theirs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=1e-9)
    assert ours.dtype == torch.float64


def test_loading_by_name_gives_the_text_features_of_the_store_s_clip() -> None:
    tower = featx.TextTower.load("tiny", device="cpu")
    features = torch.nn.functional.normalize(tower.encode(tower.plan(NAMES)), dim=-1)
    torch.testing.assert_close(features, featx.encode_text("tiny", NAMES), atol=1e-6, rtol=0)
    with pytest.raises(featx.FeatxError, match="^model=tinny: neither"):
        featx.TextTower.load("tinny")
