"""Trains the tiny CLIP that ships with featx, on rendered stills and captions of the moving-shapes world.

    .venv/bin/python tools/train_tiny_clip.py --to featx/clip/tiny.pt

Architecture: OpenAI's own `clip.model.CLIP`, in sizes that keep the file under 8 MB. Most of it is the token
table: clip's tokenizer has 49,408 entries, which at width 64 and 16 bits are 6.3 MB.
Deterministic for a given seed, torch version and thread count.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import clip
import numpy as np
import torch
from clip.model import CLIP

from featx.data_manifests.moving_shapes.stills import UNSAID, Stills, draw_stills, forget, say

INPUT_SIZE = 64
MEAN = torch.tensor((0.48145466, 0.4578275, 0.40821073)).view(3, 1, 1)  # clip's own, see clip.clip._transform
STD = torch.tensor((0.26862954, 0.26130258, 0.27577711)).view(3, 1, 1)
SHARDS = 16  # stills are drawn in this many seeded pieces, so that the result does not depend on the cores


def new_model() -> CLIP:
    """Returns an untrained CLIP: 17 image tokens of width 128, texts of width 64, D = 128."""
    return CLIP(
        embed_dim=128,
        image_resolution=INPUT_SIZE,
        vision_layers=3,
        vision_width=128,
        vision_patch_size=16,
        context_length=77,
        vocab_size=49408,
        transformer_width=64,
        transformer_heads=1,
        transformer_layers=2,
    ).float()


def draw_training_stills(seed: int, count: int) -> Stills:
    """Draws the training stills on all cores."""
    with ProcessPoolExecutor() as pool:
        pieces = list(
            pool.map(
                draw_stills,
                [seed * 1000 + i for i in range(SHARDS)],
                [count // SHARDS] * SHARDS,
                [INPUT_SIZE] * SHARDS,
            )
        )
    return Stills(np.concatenate([p.pixels for p in pieces]), np.concatenate([p.facts for p in pieces]))


def images_of(pixels: np.ndarray) -> torch.Tensor:
    """Returns (B, 3, n, n) float32, normalised as clip does it."""
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - MEAN) / STD


def encode_texts(model: CLIP, tokens: torch.Tensor) -> torch.Tensor:
    """`CLIP.encode_text` on the tokens up to the longest text: what follows EOT cannot matter."""
    length = int(tokens.argmax(dim=1).max()) + 1
    x = model.token_embedding(tokens[:, :length]) + model.positional_embedding[:length]
    x = model.transformer(x.permute(1, 0, 2)).permute(1, 0, 2)
    x = model.ln_final(x)
    return x[torch.arange(len(x)), tokens.argmax(dim=1)] @ model.text_projection


def train(steps: int, batch: int, stills: Stills, seed: int, peak_rate: float) -> CLIP:
    """Trains with the contrastive loss; a caption counts as true for every still that it describes."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = new_model()
    for block in model.transformer.resblocks:  # the mask is cut to the batch's longest text by clip itself
        block.attn_mask = torch.full((77, 77), float("-inf")).triu(1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=peak_rate, weight_decay=0.05, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak_rate, total_steps=steps, pct_start=0.1)
    began = time.monotonic()
    for step in range(steps):
        rows = rng.choice(len(stills.pixels), batch, replace=False)
        said = forget(rng, stills.facts[rows])
        tokens = clip.tokenize([say(rng, facts) for facts in said])
        image = torch.nn.functional.normalize(model.encode_image(images_of(stills.pixels[rows])), dim=1)
        text = torch.nn.functional.normalize(encode_texts(model, tokens), dim=1)
        # true[i, j]: caption i says nothing that is wrong about still j
        wrong = (said[:, None] != UNSAID) & (said[:, None] != stills.facts[rows][None])  # (B, B, parts)
        true = torch.from_numpy(~wrong.any(axis=2)).float()
        logits = model.logit_scale.clamp(max=4.6).exp() * text @ image.T  # (texts, images)
        by_text = true / true.sum(dim=1, keepdim=True)
        by_image = (true / true.sum(dim=0, keepdim=True)).T
        loss = torch.nn.functional.cross_entropy(logits, by_text)
        loss = (loss + torch.nn.functional.cross_entropy(logits.T, by_image)) / 2
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:5d}  loss {loss.item():.4f}  {time.monotonic() - began:6.0f} s", flush=True)
    return model


def save(model: CLIP, file: Path) -> None:
    """Writes a plain float16 state dict in OpenAI's key layout."""
    torch.save({key: value.half().contiguous() for key, value in model.state_dict().items()}, file)


def main() -> None:
    """Parses the command line, trains, writes the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--stills", type=int, default=64_000)
    parser.add_argument("--rate", type=float, default=1e-3)
    options = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    stills = draw_training_stills(options.seed, options.stills)
    save(train(options.steps, options.batch, stills, options.seed, options.rate), options.to)
    print(f"{options.to}: {options.to.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
