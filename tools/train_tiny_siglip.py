"""Trains the tiny SigLIP that ships with featx, on the stills and captions that the tiny CLIP was trained on.

    .venv/bin/python tools/train_tiny_siglip.py --to featx/encoders/tiny-siglip

Architecture: `SiglipModel` of Hugging Face's transformers, with a vocabulary of the world's own words, and SigLIP's
loss. Training starts from the weights of the tiny CLIP, whose encoders have the same sizes: minutes are enough. Deterministic for a given seed and torch version.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import clip
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from torch.nn import functional
from train_tiny_clip import INPUT_SIZE, draw_training_stills
from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipImageProcessor, SiglipModel

from featx.data_manifests.moving_shapes.stills import PARTS, UNSAID, Stills, forget, say
from featx.data_manifests.moving_shapes.world import MOTIONS
from featx.encoders.load import load_model

POSITIONS = 64
END = "</s>"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'-"
OTHER_WORDS = "a an the photo picture video of at shape person and then".split()  # noqa: SIM905


def new_tokenizer() -> PreTrainedTokenizerFast:
    """Returns a tokenizer of the world's words; other words are spelt letter by letter."""
    words = [word for values in PARTS.values() for word in values] + [
        word for motion in MOTIONS for word in motion.split()
    ]
    pieces = [END, "[UNK]", *LETTERS, *(f"##{letter}" for letter in LETTERS), "##s", *words, *OTHER_WORDS]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=END,
        unk_token="[UNK]",
        model_max_length=POSITIONS,
        padding_side="right",
        model_input_names=["input_ids"],
    )


def new_model(vocabulary: int) -> SiglipModel:
    """Returns an untrained SigLIP: 16 image tokens of width 128, texts of width 64, D = 128."""
    marks = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    text = {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "max_position_embeddings": POSITIONS,
        "projection_size": 128,
        "vocab_size": vocabulary,
    }
    image = {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": INPUT_SIZE,
        "patch_size": 16,
    }
    model = SiglipModel(SiglipConfig(text_config=text | marks, vision_config=image))
    with torch.no_grad():  # SigLIP's paper begins at -10, but of its pairs many fewer are true
        model.logit_scale.fill_(float(np.log(10)))
        model.logit_bias.fill_(-4.0)
    return model.train()


@torch.no_grad()
def start_from_tiny_clip(model: SiglipModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Takes over what the tiny CLIP has learned: the blocks of both encoders, patches, positions and words.

    SigLIP's image encoder has no first LayerNorm; a constant factor stands in its place until training has found better.
    """
    tiny = load_model("tiny").model
    for ours, theirs in ((model.vision_model, tiny.visual), (model.text_model, tiny)):
        for layer, block in zip(ours.encoder.layers, theirs.transformer.resblocks, strict=True):
            _copy_block(layer, block)
    image, first = model.vision_model.embeddings, tiny.visual.ln_pre
    spread = tiny.visual.positional_embedding.std() + tiny.visual.conv1.weight.std() * 16
    factor = first.weight / spread
    image.patch_embedding.weight.copy_(tiny.visual.conv1.weight * factor[:, None, None, None])
    image.patch_embedding.bias.zero_()
    image.position_embedding.weight.copy_(tiny.visual.positional_embedding[1:] * factor + first.bias)
    model.vision_model.post_layernorm.load_state_dict(tiny.visual.ln_post.state_dict())
    text = model.text_model
    text.embeddings.position_embedding.weight.copy_(tiny.positional_embedding[:POSITIONS])
    text.final_layer_norm.load_state_dict(tiny.ln_final.state_dict())
    text.head.weight.copy_(tiny.text_projection.T)
    for word, number in tokenizer.get_vocab().items():
        tokens = clip.clip._tokenizer.encode(word.removeprefix("##"))
        if word == END:
            tokens = [clip.clip._tokenizer.encoder["<|endoftext|>"]]
        if tokens:
            text.embeddings.token_embedding.weight[number] = tiny.token_embedding.weight[tokens].mean(dim=0)


def _copy_block(layer: Any, block: Any) -> None:
    attention = layer.self_attn
    parts = zip(
        (attention.q_proj, attention.k_proj, attention.v_proj),
        block.attn.in_proj_weight.chunk(3),
        block.attn.in_proj_bias.chunk(3),
        strict=True,
    )
    for linear, weight, bias in parts:
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
    for ours, theirs in (
        (attention.out_proj, block.attn.out_proj),
        (layer.layer_norm1, block.ln_1),
        (layer.layer_norm2, block.ln_2),
        (layer.mlp.fc1, block.mlp.c_fc),
        (layer.mlp.fc2, block.mlp.c_proj),
    ):
        ours.load_state_dict(theirs.state_dict())


def sigmoid_loss(logits: Tensor, true: Tensor) -> Tensor:
    """SigLIP's loss: each pair on its own is true or not; (texts, images) logits and 0 or 1."""
    return -functional.logsigmoid((2 * true - 1) * logits).sum() / len(logits)


def train(
    steps: int, batch: int, stills: Stills, seed: int, peak_rate: float
) -> tuple[SiglipModel, PreTrainedTokenizerFast]:
    """Trains; a caption counts as true for every still that it describes."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tokenizer = new_tokenizer()
    model = new_model(len(tokenizer))
    start_from_tiny_clip(model, tokenizer)
    optimiser = torch.optim.AdamW(model.parameters(), lr=peak_rate, weight_decay=0.05, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak_rate, total_steps=steps, pct_start=0.1)
    began = time.monotonic()
    for step in range(steps):
        rows = rng.choice(len(stills.pixels), batch, replace=False)
        said = forget(rng, stills.facts[rows])
        words = tokenizer(
            [say(rng, facts) for facts in said],
            padding="max_length",
            max_length=POSITIONS,
            return_tensors="pt",
        )
        pictures = torch.from_numpy(stills.pixels[rows]).permute(0, 3, 1, 2).float() / 127.5 - 1
        image = functional.normalize(model.get_image_features(pixel_values=pictures).pooler_output, dim=1)
        text = functional.normalize(model.get_text_features(**words).pooler_output, dim=1)
        # true[i, j]: caption i says nothing that is wrong about still j
        wrong = (said[:, None] != UNSAID) & (said[:, None] != stills.facts[rows][None])  # (B, B, parts)
        true = torch.from_numpy(~wrong.any(axis=2)).float()
        logits = model.logit_scale.clamp(max=4.6).exp() * text @ image.T + model.logit_bias
        loss = sigmoid_loss(logits, true)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:5d}  loss {loss.item():.4f}  {time.monotonic() - began:6.0f} s", flush=True)
    return model.eval(), tokenizer


def main() -> None:
    """Parses the command line, trains, writes the folder as `save_pretrained` does, in float16."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--stills", type=int, default=12_000)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    options = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # so small a model is as fast, and the result does not depend on the cores
    stills = draw_training_stills(options.seed, options.stills)
    model, tokenizer = train(options.steps, options.batch, stills, options.seed, options.rate)
    square = {"height": INPUT_SIZE, "width": INPUT_SIZE}
    for part in (model.half(), tokenizer, SiglipImageProcessor(size=square)):
        part.save_pretrained(options.to)
    size = sum(file.stat().st_size for file in options.to.iterdir())
    print(f"{options.to}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
