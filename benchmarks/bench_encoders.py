"""A training step's text side, per family of models: featx against a plain pass through the library's own modules.

    make bench-train-families ARGS='--classes 51 --layers 12'

Forward and backward of prompts 16+X+16 around short names, random weights at the real widths. Both ways compute the same
features and gradients; the largest difference is printed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AlignConfig, AlignModel, CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from featx.clip.text_format import TextFormat
from featx.clip.text_plan import plan_texts
from featx.clip.text_weights import TextEncoder
from featx.encoders.text import TextTower
from featx.encoders.transformers_models import KINDS

PROMPTS, FIRST_NAME_TOKEN = 16, 1000
SMALL_IMAGE = {"num_hidden_layers": 1, "image_size": 32, "patch_size": 16}


@dataclass(frozen=True)
class Subject:
    """A family's text encoder: its module, marks, padding, and how many positions its library pads to."""

    family: str
    model: Any
    start: tuple[int, ...]
    end: tuple[int, ...]
    padding: int
    positions: int


def subjects(layers: int) -> list[Subject]:
    """Returns the text encoders of CLIP ViT-B, SigLIP base and ALIGN base, with random weights."""
    clip = {"num_hidden_layers": layers, "eos_token_id": 49407, "bos_token_id": 49406}
    siglip = {"num_hidden_layers": layers, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 1}
    align = {"num_hidden_layers": layers}
    made = (
        ("hf-clip", CLIPModel(CLIPConfig(text_config=clip, vision_config=SMALL_IMAGE)), (49406,), (49407,), 0, 77),
        ("siglip", SiglipModel(SiglipConfig(text_config=siglip, vision_config=SMALL_IMAGE)), (), (1,), 1, 64),
        ("align", AlignModel(AlignConfig(text_config=align)), (101,), (102,), 0, 64),
    )  # fmt: skip
    return [Subject(name, model.eval().requires_grad_(False), *rest) for name, model, *rest in made]


class WithPrompts(nn.Module):
    """An embedding in which prompt vectors stand in the places of the first tokens."""

    def __init__(self, embedding: nn.Embedding, table: Tensor) -> None:
        """Takes the embedding and the (P, W) prompts."""
        super().__init__()
        self.weight, self.table = embedding.weight, table

    def forward(self, ids: Tensor) -> Tensor:
        """Returns (C, L, W) of (C, L) tokens, of which those from 200 on are prompts."""
        rows = torch.arange(len(self.table)) + 200
        return functional.embedding(ids, self.weight.index_copy(0, rows, self.table))


def plain_way(subject: Subject, names: list[list[int]], table: Tensor) -> Callable[[], Tensor]:
    """Returns a pass through the library's modules, every text padded to all positions."""
    prompts = [200 + index for index in range(2 * PROMPTS)]
    rows = [[*subject.start, *prompts[:PROMPTS], *name, *prompts[PROMPTS:], *subject.end] for name in names]
    ids = torch.tensor([row + [subject.padding] * (subject.positions - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (subject.positions - len(row)) for row in rows])
    embeddings = subject.model.text_model.embeddings
    name = "word_embeddings" if subject.family == "align" else "token_embedding"
    own = getattr(embeddings, name)
    inputs = {"input_ids": ids} | ({} if subject.family == "siglip" else {"attention_mask": mask})

    def run() -> Tensor:
        setattr(embeddings, name, WithPrompts(own, table))
        try:
            features: Tensor = subject.model.get_text_features(**inputs).pooler_output
        finally:
            setattr(embeddings, name, own)
        return features

    return run


def fast_way(
    subject: Subject, names: list[list[int]], table: Tensor
) -> tuple[Callable[[], Tensor], TextFormat]:
    """Returns featx's pass, and what savings it has."""
    kind = KINDS[subject.family]
    form = TextFormat(
        lambda text: [int(word) for word in text.split()],
        str,
        subject.start,
        subject.end,
        subject.padding,
        subject.positions,
        kind.mask,
        kind.feature_at,
    )
    tower = TextTower(TextEncoder(form, kind.text(subject.model)))
    plan = plan_texts(form, [" ".join(map(str, name)) for name in names], PROMPTS)
    return lambda: tower.encode(plan, table), form


def measured(way: Callable[[], Tensor], table: Tensor, rounds: int) -> tuple[float, Tensor, Tensor]:
    """Returns the shortest time of a forward and backward pass in seconds, the features and the prompts' gradient."""
    seconds = []
    for _ in range(rounds):
        table.grad = None
        began = time.perf_counter()
        features = way()
        functional.normalize(features, dim=-1).sin().sum().backward()
        seconds.append(time.perf_counter() - began)
    assert table.grad is not None
    return min(seconds), features.detach(), table.grad.clone()


def main() -> None:
    """Parses the command line, measures, prints a row for each family and number of classes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, nargs="+", default=[51, 400])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    for subject in subjects(options.layers):
        for classes in options.classes:
            names = [
                rng.integers(FIRST_NAME_TOKEN, 2000, rng.integers(1, 6)).tolist() for _ in range(classes)
            ]
            width = subject.model.config.text_config.hidden_size
            table = (0.02 * torch.randn(2 * PROMPTS, width)).requires_grad_()
            fast, form = fast_way(subject, names, table)
            ours, features, gradient = measured(fast, table, options.rounds)
            theirs, plain_features, plain_gradient = measured(
                plain_way(subject, names, table), table, options.rounds
            )
            apart = max(
                float((features - plain_features).abs().max()), float((gradient - plain_gradient).abs().max())
            )
            print(
                f"{subject.family:8} {classes:4} classes  plain {theirs:7.2f} s  featx {ours:7.2f} s  factor "
                f"{theirs / ours:5.2f}  apart {apart:.0e}  {', '.join(form.savings)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
