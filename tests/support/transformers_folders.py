"""Small models of `transformers` with random weights, as save_pretrained writes them, tokenizer and all."""

import io
import os
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import clip
import torch
from torch import nn

COLOURS, SHAPES = ("red", "green", "blue", "yellow"), ("star", "circle", "square", "triangle")
MOTIONS = ("rising", "falling", "growing", "shrinking", "moving left", "moving right", "turning", "blinking")
TEXT = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
VISION = TEXT | {"num_hidden_layers": 2, "image_size": 32, "patch_size": 8}
EFFICIENT = {
    "image_size": 64,
    "width_coefficient": 1.0,
    "depth_coefficient": 0.2,
    "hidden_dim": 40,
    "in_channels": [32, 16],
    "out_channels": [16, 40],
    "kernel_sizes": [3, 3],
    "strides": [1, 2],
    "num_block_repeats": [1, 1],
    "expand_ratios": [1, 2],
    "depthwise_padding": [],
    "squeeze_expansion_ratio": 0.25,
}


def shaken(model: nn.Module) -> nn.Module:
    """Makes weights random enough for a difference to show; a new model's biases are 0 and its norms 1."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value += 0.1 * torch.randn(value.shape, generator=generator)
    return model.eval()


def clip_tokenizer():
    from transformers import CLIPTokenizer

    ours = clip.clip._tokenizer
    merges = sorted(ours.bpe_ranks, key=ours.bpe_ranks.__getitem__)
    return CLIPTokenizer(vocab=dict(ours.encoder), merges=merges)


def bert_tokenizer():
    from transformers import BertTokenizer

    words = [*COLOURS, *SHAPES, *(one for motion in MOTIONS for one in motion.split()), "a", "video", "of"]
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return BertTokenizer(
        vocab={word: number for number, word in enumerate(dict.fromkeys([*marks, *words, "##s"]))}
    )


def siglip_tokenizer(folder: Path):
    import sentencepiece
    from transformers import SiglipTokenizer

    texts = [f"a {colour} {shape} {motion}" for colour in COLOURS for shape in SHAPES for motion in MOTIONS]
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=written, vocab_size=90, pad_id=-1, bos_id=-1, unk_id=2,
        eos_id=1, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spiece.model").write_bytes(written.getvalue())
    return SiglipTokenizer(vocab_file=str(folder / "spiece.model"))


def make_folder(
    family: str, folder: Path, text: dict | None = None, vision: dict | None = None, shake: bool = True
) -> Path:
    """Writes a model of a family into a folder; small, or of the sizes given."""
    import transformers as t

    sizes = TEXT if text is None else text
    torch.manual_seed(0)
    if family == "hf-clip":
        tokenizer = clip_tokenizer()
        processor = t.CLIPImageProcessor(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32})
        words = {
            "vocab_size": 49408,
            "max_position_embeddings": 77,
            "bos_token_id": 49406,
            "eos_token_id": 49407,
        }
        config = t.CLIPConfig(
            text_config=sizes | words, vision_config=vision or VISION, projection_dim=sizes["hidden_size"] - 8
        )
        model = t.CLIPModel(config)
    elif family == "siglip":
        tokenizer = siglip_tokenizer(folder)
        processor = t.SiglipImageProcessor(size={"height": 32, "width": 32})
        words = {
            "vocab_size": 99,
            "max_position_embeddings": 64,
            "bos_token_id": 1,
            "eos_token_id": 1,
            "pad_token_id": 1,
        }
        words["projection_size"] = (vision or VISION)["hidden_size"]
        model = t.SiglipModel(t.SiglipConfig(text_config=sizes | words, vision_config=vision or VISION))
    else:
        tokenizer = bert_tokenizer()
        processor = t.EfficientNetImageProcessor(
            size={"height": 70, "width": 70}, crop_size={"height": 64, "width": 64}, do_center_crop=True,
            do_normalize=False, rescale_factor=1 / 127.5, rescale_offset=True, include_top=False, resample=2,
        )  # fmt: skip
        words = {"vocab_size": 60, "max_position_embeddings": 128, "pad_token_id": 0}
        config = t.AlignConfig(
            text_config=sizes | words, vision_config=vision or EFFICIENT, projection_dim=640 if vision else 40
        )
        model = t.AlignModel(config)
    if vision:
        side = vision["image_size"]
        square = {"height": side, "width": side}
        processor.size = {"shortest_edge": side} if family == "hf-clip" else square
        if family != "siglip":
            processor.crop_size = square
    for part in (shaken(model) if shake else model, tokenizer, processor):
        part.save_pretrained(folder)
    return folder
