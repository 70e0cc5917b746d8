"""The checkpoints of the method's authors (``.pth.tar``), read without running anything that is in them.

Layout: ``embedding.weight`` (77, W), ``temporalEmbedding.weight`` (T, D), ``temporalModelling.resblocks.{i}.*``, and
the whole of CLIP under ``clipmodel.``; all of it under ``state_dict``, beside optimiser and iteration. Its tensors are
the same whatever of them the program used: prompts on which side, attention heads, and whether time was modelled at all
are options of its command line, which it does not save. They are asked for (`HowTrained`).
"""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from featx.encoders.model import ImageTextModel
from featx.encoders.openai_text import CONTEXT_LENGTH
from featx.errors import FeatxError
from featx.model.adapter import Adapter
from featx.model.adapter_config import AdapterConfig

PROMPTS, POSITIONS, BLOCKS, CLIP = (
    "embedding.weight",
    "temporalEmbedding.weight",
    "temporalModelling.resblocks.",
    "clipmodel.",
)
RENAMED = {"mlp.c_fc": "mlp.0", "mlp.c_proj": "mlp.2"}
MOST_LAYERS = 4  # of `AdapterConfig`
STRIDES, STRIDE_WEIGHTS = [1, 2, 3, 4], [1, 1, 3, 1]  # of the released code's training on HMDB51


@dataclass(frozen=True)
class HowTrained:
    """What the authors' command line said, and the checkpoint does not.

    Attributes:
        prompts: k, vectors before the class name (``--prefix``).
        suffix: Whether as many stand after it (``--postfix``), or none.
        temporal: Whether positions were added to the frames, and the Transformer's layers followed (``--temporal 1``);
            if not, a video's feature is the plain mean, whatever layers the checkpoint has.
        heads: Of the Transformer's attention (``--tfm_heads``); None where no layer is used.
    """

    prompts: int
    suffix: bool
    temporal: bool
    heads: int | None = None


@dataclass(frozen=True)
class Released:
    """What was found in a checkpoint.

    Attributes:
        adapter: The learned part, with the `positional` layout.
        ignored: What was left out, and why, one phrase each.
        names_clip: Whether CLIP's own weights are in it, and so it is known to have been trained with this one.
    """

    adapter: Adapter
    ignored: list[str]
    names_clip: bool


def read_released(file: Path, clip: ImageTextModel, how: HowTrained) -> Released:
    """Reads a checkpoint of the authors' released code.

    Args:
        file: The ``.pth.tar``.
        clip: The CLIP that it was trained with.
        how: What the checkpoint does not say.

    Raises:
        FeatxError: If the file is not such a checkpoint, or belongs to another CLIP.
    """
    state, ignored = _read_state(file)
    for name, width in ((PROMPTS, clip.text_width), (POSITIONS, clip.width)):
        _check(file, state, name, (CONTEXT_LENGTH if name == PROMPTS else None, width))
    blocks = {name.removeprefix(BLOCKS): value for name, value in state.items() if name.startswith(BLOCKS)}
    if blocks and not how.temporal:
        ignored.append(f"{BLOCKS}* ({len(blocks)} tensors: not used without --temporal)")
        blocks = {}
    adapter = Adapter(_config(file, how, _layers(blocks), len(state[POSITIONS])), clip.text_width, clip.width)
    tensors = {f"temporal.blocks.{_renamed(name)}": value for name, value in blocks.items()}
    if how.prompts:
        tensors["prompt_table"] = state[PROMPTS]
    else:
        ignored.append(f"{PROMPTS} (not used without prompts)")
    if how.temporal:
        tensors["temporal.positions"] = state[POSITIONS]
    else:
        ignored.append(f"{POSITIONS} (not used without --temporal)")
    own = adapter.state_dict()
    if own.keys() != tensors.keys():
        odd = sorted(own.keys() ^ tensors.keys())[0]
        raise FeatxError(f"{file}: not the authors' layout: '{odd}' is missing or too many")
    for name, value in tensors.items():
        if value.shape != own[name].shape:
            raise FeatxError(f"{file}: '{name}' has shape {tuple(value.shape)}, not {tuple(own[name].shape)}")
    adapter.load_state_dict({name: value.float() for name, value in tensors.items()})
    frozen = {name.removeprefix(CLIP): value for name, value in state.items() if name.startswith(CLIP)}
    if frozen:
        _check_clip(file, frozen, clip)
        ignored.append(f"{CLIP}* ({len(frozen)} tensors: CLIP itself, equal to that of --model)")
    rest = [
        name for name in state if name not in (PROMPTS, POSITIONS) and not name.startswith((BLOCKS, CLIP))
    ]
    return Released(adapter, ignored + rest, names_clip=bool(frozen))


def _layers(blocks: dict[str, Tensor]) -> int:
    return len({name.split(".")[0] for name in blocks})


def _config(file: Path, how: HowTrained, layers: int, clip_frames: int) -> AdapterConfig:
    if layers > MOST_LAYERS:
        raise FeatxError(f"{file}: has {layers} temporal layers; an adapter has at most {MOST_LAYERS}")
    if layers and how.heads is None:
        raise FeatxError(
            f"{file}: has {layers} temporal layers, but does not say how many attention heads: "
            "give --heads (the authors' --tfm_heads)"
        )
    return AdapterConfig(
        prompts=how.prompts,
        suffix=how.suffix,
        layout="positional",
        layers=layers,
        positions=how.temporal,  # also without layers: the authors' program adds them with --temporal 1
        heads=how.heads or AdapterConfig.model_fields["heads"].default,
        clip_frames=clip_frames,
        template=None if how.prompts else "{}",  # the authors' program has no template, prompts or not
    )


def _read_state(file: Path) -> tuple[dict[str, Tensor], list[str]]:
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise FeatxError(f"{file}: cannot read the checkpoint ({error.strerror})") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FeatxError(
            f"{file}: not a checkpoint of tensors only ({reason}); if you trust it, save its state_dict alone first"
        ) from error
    if not isinstance(content, dict):
        raise FeatxError(f"{file}: holds a {type(content).__name__}, not a checkpoint")
    ignored = []
    if isinstance(content.get("state_dict"), dict):
        ignored = [str(name) for name in content if name != "state_dict"]
        content = content["state_dict"]
    ignored += [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if state and all(name.startswith("module.") for name in state):  # trained on several GPUs
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return state, ignored


def _check(file: Path, state: dict[str, Tensor], name: str, shape: tuple[int | None, int]) -> None:
    if name not in state:
        raise FeatxError(f"{file}: has no '{name}'; the authors' checkpoints have (docs/adapter.md)")
    found = tuple(state[name].shape)
    if len(found) != 2 or found[1] != shape[1] or shape[0] not in (None, found[0]):
        expected = f"({shape[0] or 'frames'}, {shape[1]})"
        raise FeatxError(f"{file}: '{name}' has shape {found}, not {expected}, which --model needs")


def _check_clip(file: Path, frozen: dict[str, Tensor], clip: ImageTextModel) -> None:
    own = clip.model.state_dict()
    for name, value in frozen.items():
        if name in own and not (value.shape == own[name].shape and torch.equal(value.float(), own[name])):
            raise FeatxError(
                f"{file}: was trained with another CLIP than --model {clip.source} ('{CLIP}{name}' differs); give that one"
            )


def _renamed(name: str) -> str:
    for theirs, ours in RENAMED.items():
        name = re.sub(rf"\.{re.escape(theirs)}\.", f".{ours}.", name)
    return name
