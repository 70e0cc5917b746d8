"""What a step costs: operations and memory, counted from the text plan and the sizes; estimates, not measurements."""

from __future__ import annotations

from dataclasses import dataclass

from featx.encoders.text import TextPlan
from featx.model.adapter import Adapter

FLOAT_BYTES = 4
KEPT_WIDTHS = 9  # numbers a row and block that the backward pass needs, as multiples of W


@dataclass(frozen=True)
class TextSize:
    """The text encoder: W, D, and its blocks."""

    width: int
    feature_width: int
    blocks: int = 12  # of all of OpenAI's


# OpenAI's models (their checkpoints' own shapes), for when the weights are not at hand: W and D.
SIZES = {
    "ViT-B/32": TextSize(512, 512),
    "ViT-B/16": TextSize(512, 512),
    "ViT-L/14": TextSize(768, 768),
    "ViT-L/14@336px": TextSize(768, 768),
    "RN50": TextSize(512, 1024),
    "RN101": TextSize(512, 512),
    "RN50x4": TextSize(640, 640),
    "RN50x16": TextSize(768, 768),
    "RN50x64": TextSize(1024, 1024),
}


def text_flops(plan: TextPlan, size: TextSize) -> int:
    """Returns the operations of one forward and backward pass of the texts (weights are frozen: 2 passes).

    Matrix products of a block: 12 W^2 multiplications a row; attention 2 W for every key that a row sees.
    """
    packed, width = plan.packed, size.width
    rows, texts = len(packed.inputs), len(plan)
    keys = (
        int(packed.mask.sum(dim=-1).float().mean()) * rows
    )  # row by row, near enough for attention's few percent
    middle = 24 * width**2 * rows + 4 * width * keys
    last = 4 * width**2 * rows + 20 * width**2 * texts + 4 * width * packed.mask.shape[-1] * texts
    return 2 * ((size.blocks - 1) * middle + last + 2 * width * size.feature_width * texts)


def temporal_flops(batch: int, clip_frames: int, width: int, layers: int) -> int:
    """Returns the operations of the temporal Transformer's forward and backward pass (3 passes)."""
    rows = batch * clip_frames
    return 3 * layers * (24 * width**2 * rows + 4 * width * clip_frames * rows)


def kept_bytes(plan: TextPlan, texts: int, size: TextSize) -> int:
    """Returns what a step's texts leave in memory for the backward pass; `memory_bytes` says of what.

    Args:
        plan: Of all texts.
        texts: How many of them a step has: texts of the usual length.
        size: The text encoder.
    """
    own = float(plan.lengths.double().mean()) - plan.prefix  # rows of a text
    return int(FLOAT_BYTES * KEPT_WIDTHS * size.width * size.blocks * (plan.prefix + texts * own))


def memory_bytes(adapter: Adapter, plan: TextPlan, size: TextSize, clips: int) -> int:
    """Returns the memory of a step: learned numbers with gradient and moments, text tower, what backward needs.

    A frozen block keeps 9 W numbers a row (its input, queries, keys and values, the MLP's input and hidden layer); a
    learned one keeps about 20 D.

    Args:
        adapter: What is learned.
        plan: Of the step's texts.
        size: The text encoder.
        clips: That go through the temporal Transformer together.
    """
    config = adapter.config
    tower = size.blocks * 12 * size.width**2
    text = KEPT_WIDTHS * size.width * size.blocks * len(plan.packed.inputs) if config.prompts else 0
    temporal = clips * config.clip_frames * size.feature_width * (20 * config.layers + 2)
    return FLOAT_BYTES * (4 * adapter.parameter_count() + tower + text + temporal)
