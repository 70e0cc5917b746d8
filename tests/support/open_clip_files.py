"""Small models of open_clip with random weights: an architecture that open_clip learns, and a file of weights."""

import json
import os
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
from transformers_folders import bert_tokenizer, shaken, siglip_tokenizer

VISION = {"layers": 2, "width": 32, "head_width": 8, "patch_size": 8, "image_size": 32}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 3}
UNMASKED = {"no_causal_mask": True}
SIGLIP = UNMASKED | {
    "context_length": 64,
    "vocab_size": 99,
    "pool_type": "last",
    "proj_bias": True,
    "act_kwargs": {"approximate": "tanh"},
    "norm_kwargs": {"eps": 1e-6},
    "tokenizer_kwargs": {"clean": "canonicalize"},
}
CLIPA = UNMASKED | {
    "context_length": 64,
    "vocab_size": 60,
    "pool_type": "last",
    "tokenizer_kwargs": {"strip_sep_token": True},
}
# like: what differs from open_clip's usual CLIP, in all and in the text encoder
ARCHITECTURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "small-clip": ({}, {}),
    "small-clip-quickgelu": ({"quick_gelu": True}, {}),
    "small-custom": ({"custom_text": True}, {"ls_init_value": 0.5, "proj_bias": True}),
    "small-mobileclip": ({"custom_text": True}, UNMASKED),
    "small-pe": ({"custom_text": True}, {"context_length": 32}),
    "small-no-projection": ({"custom_text": True}, {"proj_type": "none"}),
    "small-siglip": ({"custom_text": True, "init_logit_bias": -10}, SIGLIP),
    "small-clipa": ({"custom_text": True}, CLIPA),
}


def make_file(name: str, folder: Path) -> Path:
    """Makes an architecture known to open_clip in this process; returns a file of its weights."""
    import open_clip

    folder.mkdir(parents=True, exist_ok=True)
    changes, text = ARCHITECTURES[name]
    config = {"embed_dim": 32, "vision_cfg": VISION, "text_cfg": TEXT | text} | changes
    if name in ("small-siglip", "small-clipa"):
        tokenizer = siglip_tokenizer(folder / "tokens") if name == "small-siglip" else bert_tokenizer()
        tokenizer.save_pretrained(folder / "tokenizer")
        config["text_cfg"] |= {"hf_tokenizer_name": str(folder / "tokenizer")}
    (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / f"{name}.json")
    torch.manual_seed(0)
    model = shaken(open_clip.create_model(name))
    torch.save(model.state_dict(), folder / f"{name}.pt")
    return folder / f"{name}.pt"
