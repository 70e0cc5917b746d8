"""The authors' checkpoints become adapters with the same outputs; files say what is in them."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import clip
import numpy as np
import pytest
import torch
from torch import nn

from featx.encoders.load import load_model
from featx.encoders.openai_text import openai_format
from featx.encoders.text import TextTower
from featx.model.adapter import Adapter, AdapterHeader, load_adapter, read_header, save_adapter
from featx.model.adapter_config import AdapterConfig
from featx.store.schema import Fingerprint

NAMES = ["run", "climb stairs", "a person who brushes hair"]
FRAMES = 16


@dataclass(frozen=True)
class Options:
    """Of the authors' command line, under their names; the defaults are theirs."""

    prefix: int = 16
    postfix: int = 16
    temporal: int = 1
    tfm_layers: int = 0
    tfm_heads: int = 8

    def ours(self) -> list[object]:
        words = ["--prompts", self.prefix, "--temporal" if self.temporal else "--no-temporal"]
        words += [] if self.postfix else ["--no-suffix"]
        return [*words, "--heads", self.tfm_heads] if self.tfm_layers and self.temporal else words


class ReleasedModel(nn.Module):
    """The learned part of the authors' model, written anew from its description: names, shapes, order of frames.

    All its tensors are there whatever the options are, as in the authors' program: they say which are used.
    """

    def __init__(self, text_width: int, width: int, options: Options) -> None:
        super().__init__()
        self.options = options
        self.embedding = nn.Embedding(77, text_width)
        self.temporalEmbedding = nn.Embedding(FRAMES, width)
        self.temporalModelling = nn.Module()
        self.temporalModelling.resblocks = nn.Sequential(
            *[clip.model.ResidualAttentionBlock(width, options.tfm_heads) for _ in range(options.tfm_layers)]
        )
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.05)
        nn.init.normal_(
            self.temporalEmbedding.weight, std=0.5
        )  # of the features' own size, so that it is seen

    def video(self, clips: torch.Tensor) -> torch.Tensor:
        x = clips.permute(1, 0, 2)  # (T, B, D)
        if self.options.temporal:  # `--temporal 1` adds the positions, be there layers or not
            x = self.temporalModelling.resblocks(x + self.temporalEmbedding.weight[:, None])
        return x.mean(dim=0)

    def text(self, model: nn.Module, names: list[str]) -> torch.Tensor:
        """Token embeddings pasted into copies of the 77 rows, through CLIP's own transformer."""
        prefix, postfix = self.options.prefix, self.options.postfix
        features = []
        for name in names:
            tokens = clip.tokenize(name)[0]
            end = int(tokens.argmax())
            words = model.token_embedding(tokens)
            x = self.embedding.weight.clone()
            x[0] = words[0]
            x[prefix + 1 : prefix + end] = words[1:end]
            x[prefix + end + postfix] = words[end]
            x = model.transformer((x + model.positional_embedding)[:, None])[:, 0]
            features.append(model.ln_final(x)[prefix + end + postfix] @ model.text_projection)
        return torch.stack(features)


def checkpoint(
    file: Path, options: Options, wrapped: bool = True, parallel: bool = False, with_clip: bool = True
) -> ReleasedModel:
    tiny = load_model("tiny")
    torch.manual_seed(options.tfm_layers)
    model = ReleasedModel(tiny.text_width, tiny.width, options)
    frozen = tiny.model.state_dict() if with_clip else {}
    state = {**model.state_dict(), **{f"clipmodel.{k}": v for k, v in frozen.items()}}
    if parallel:
        state = {f"module.{name}": value for name, value in state.items()}
    optimiser = {"state": {0: {"step": 5}}, "param_groups": [{"lr": 1e-4}]}
    torch.save({"state_dict": state, "optimizer": optimiser, "iteration": 5} if wrapped else state, file)
    return model


BOTH_SIDES, PREFIX_ONLY, NO_PROMPTS = (3, 3), (4, 0), (0, 0)
TIMES = [  # temporal, tfm_layers, tfm_heads
    (1, 2, 8),
    (1, 1, 4),
    (1, 0, 8),
    (0, 0, 8),
    (0, 2, 8),  # the layers are in the checkpoint, but were never used
]
CASES = [Options(*prompts, *time) for prompts in (BOTH_SIDES, PREFIX_ONLY, NO_PROMPTS) for time in TIMES]


@pytest.mark.parametrize("number", range(len(CASES)))
@torch.no_grad()
def test_an_imported_checkpoint_gives_the_authors_outputs(number: int, tmp_path: Path, featx) -> None:
    """Features of clips and texts, to 1e-4, for every option that changes them."""
    options = CASES[number]
    wrapped, parallel = number % 2 == 0, number % 3 == 0
    theirs = checkpoint(tmp_path / "a.pth.tar", options, wrapped, parallel)
    classes = tmp_path / "classes.txt"
    classes.write_text("\n".join(NAMES) + "\n")
    words = ["adapter", "import", tmp_path / "a.pth.tar", "--model", "tiny", "--classes", classes]
    outcome = featx(*words, *options.ours(), "--to", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert "ignored: clipmodel.*" in outcome.out
    assert ("ignored: optimizer" in outcome.out) == wrapped
    assert ("ignored: temporalEmbedding.weight" in outcome.out) == (not options.temporal)
    assert ("ignored: temporalModelling" in outcome.out) == (not options.temporal and options.tfm_layers > 0)
    assert ("ignored: embedding.weight" in outcome.out) == (not options.prefix)
    adapter, header = load_adapter(tmp_path / "run" / "adapter.safetensors")
    assert header.config.positions == bool(options.temporal)
    assert list(header.classes.values()) == NAMES and header.fingerprint.channel_order == "bgr"

    tiny = load_model("tiny")
    clips = torch.randn(5, FRAMES, tiny.width)
    video = nn.functional.normalize(theirs.video(clips), dim=-1)
    torch.testing.assert_close(adapter.encode_clips(clips), video, rtol=1e-4, atol=1e-6)
    text = nn.functional.normalize(theirs.text(tiny.model, NAMES), dim=-1)
    torch.testing.assert_close(
        adapter.encode_texts(TextTower(tiny.model), adapter.plan(openai_format(), NAMES)),
        text,
        rtol=1e-4,
        atol=1e-6,
    )


def test_what_a_checkpoint_does_not_say_is_asked_for(tmp_path: Path, featx) -> None:
    """Prompts, whether time is modelled, heads, and CLIP where it is not in the file: each is named, none is guessed."""
    file, to = tmp_path / "a.pth.tar", tmp_path / "run"
    checkpoint(file, Options(3, 3, tfm_layers=1), with_clip=False)
    given = {"--prompts": [3], "--temporal": [], "--heads": [8], "--model": ["tiny"]}
    for missing in ("--prompts", "--temporal", "--heads"):
        words = [word for name, values in given.items() if name != missing for word in (name, *values)]
        outcome = featx("adapter", "import", file, *words, "--to", to)
        assert outcome.code == 2 and outcome.err.count("\n") == 1, outcome.err
        assert f"give {missing}" in outcome.err and not to.exists()
    checkpoint(file, Options(3, 3, tfm_layers=5))
    outcome = featx(
        "adapter", "import", file, "--model", "tiny", "--prompts", 3, "--temporal", "--heads", 8, "--to", to
    )
    assert outcome.code == 2 and "5 temporal layers; an adapter has at most 4" in outcome.err


def test_an_imported_adapter_is_evaluated_like_any_other(order_data: Path, tmp_path: Path, featx) -> None:
    checkpoint(tmp_path / "a.pth.tar", Options(tfm_layers=1))
    manifest = order_data / "manifest.jsonl"
    words = ["adapter", "import", tmp_path / "a.pth.tar", "--model", "tiny", "--classes", manifest]
    words += Options(tfm_layers=1).ours()
    assert featx(*words, "--to", tmp_path / "bgr").code == 0
    where = ["--store", order_data / "features", "--manifest", manifest]
    refused = featx("eval", tmp_path / "bgr", *where)
    assert refused.code == 2 and "channel_order: bgr, not rgb" in refused.err
    assert featx(*words, "--store", order_data / "features", "--to", tmp_path / "of-store").code == 0
    assert featx("eval", tmp_path / "of-store", *where).code == 0
    silent = featx("eval", tmp_path / "of-store")
    assert silent.code == 2 and "--store" in silent.err and silent.err.count("\n") == 1


def test_what_is_not_the_authors_layout_is_one_line(tmp_path: Path, featx) -> None:
    file = tmp_path / "a.pth.tar"
    tiny = load_model("tiny")
    options = Options(tfm_layers=1)
    words = ["adapter", "import", file, "--model", "tiny", *options.ours(), "--to", tmp_path / "run"]

    def refused(content: object) -> str:
        torch.save(content, file)
        outcome = featx(*words)
        assert outcome.code == 2 and outcome.err.count("\n") == 1, outcome.err
        return outcome.err

    good = {**ReleasedModel(tiny.text_width, tiny.width, options).state_dict()}
    assert "not a checkpoint of tensors only" in refused(
        {"state_dict": good, "args": argparse.Namespace(x=1)}
    )
    assert "has no 'embedding.weight'" in refused({"state_dict": {}})
    wrong = {**good, "embedding.weight": torch.zeros(77, 512)}
    assert "'embedding.weight' has shape (77, 512), not (77, 64)" in refused(wrong)
    wrong = {**good, "temporalModelling.resblocks.0.mlp.c_fc.weight": torch.zeros(3, 3)}
    assert "has shape (3, 3), not (512, 128)" in refused(wrong)
    assert "'temporal.blocks.0.attn.gate' is missing or too many" in refused(
        {**good, "temporalModelling.resblocks.0.attn.gate": torch.zeros(3)}
    )
    frozen = {"clipmodel.text_projection": tiny.model.text_projection + 1}
    assert "'clipmodel.text_projection' differs" in refused({**good, **frozen})
    file.write_bytes(b"nonsense")
    outcome = featx(*words)
    assert outcome.code == 2 and outcome.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_papers_adapter_is_its_learned_tensors(tmp_path: Path, featx) -> None:
    """16+X+16 and 2 layers at D = 512: within 5% of the bytes of what was learned, header and all."""
    config = AdapterConfig(prompts=16, layers=2)
    adapter = Adapter(config, 512, 512)
    header = AdapterHeader(
        config=config,
        fingerprint=Fingerprint(model="ViT-B/16", weights_sha256="0" * 64, input_size=224, width=512),
        model_source="ViT-B/16",
        classes={f"class {index}": f"the text of class {index}" for index in range(700)},
        settings={"rate": 1e-4},
    )
    file = tmp_path / "adapter.safetensors"
    save_adapter(file, adapter, header)
    assert 4 * adapter.parameter_count() < file.stat().st_size < 1.05 * 4 * adapter.parameter_count()

    outcome = featx("adapter", "info", file, "--json")
    described = json.loads(outcome.out)
    assert AdapterHeader(**{name: described[name] for name in AdapterHeader.model_fields}) == read_header(
        file
    )
    shapes = [tensor["shape"] for tensor in described["tensors"].values()]
    assert (
        sum(int(np.prod(shape)) for shape in shapes) == described["parameters"] == adapter.parameter_count()
    )
    by_folder = featx("adapter", "info", tmp_path)
    for words in ("16+X+16, layout sequence", "2 layers, 8 heads", "700: the text of class 0", "rate=0.0001"):
        assert words in by_folder.out
    nothing = featx("adapter", "info", tmp_path / "none")
    assert nothing.code == 2 and nothing.err.count("\n") == 1
