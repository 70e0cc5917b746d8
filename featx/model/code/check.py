"""Tries a temporal model on a few clips before a run begins: what would fail, or make results wrong, is said now."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from featx.errors import FeatxError
from featx.model.code.own_temporal import OwnModel, OwnTemporal, said_by

CLIPS = 3
CLOSE = 1e-3  # relative: a library may round a clip alone and among others differently, by much less


@dataclass(frozen=True)
class PlannedUse:
    """What a run does with a module.

    Attributes:
        clip_frames: T.
        parts: Whether a step's clips go through it in parts (``accumulate``, or several devices).
        averaged: Whether a running mean of it is kept (``ema``).
    """

    clip_frames: int
    parts: bool = False
    averaged: bool = False


def check_own(own: OwnModel, width: int, use: PlannedUse) -> None:
    """Builds the module and sends a few random clips forward and backward through it, on the CPU.

    Torch's random numbers are left as they were.

    Args:
        own: The class.
        width: D.
        use: What the run does with it.

    Raises:
        FeatxError: Naming file and class, what is wrong, and what to change.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = own.build(width)
        clips = torch.nn.functional.normalize(torch.randn(CLIPS, use.clip_frames, width), dim=-1)
        _check_tensors(own, model)
        _check_training(own, model, clips, use)
        _check_scoring(own, model.eval(), clips)
        _check_saving(own, model, clips, width)
        if use.averaged:
            _check_copy(own, model)


def _mask(clips: Tensor) -> Tensor:
    mask = torch.ones(clips.shape[:2], dtype=torch.bool)
    mask[0, 1:] = False  # a video of one frame
    return mask


def _run(own: OwnModel, model: OwnTemporal, clips: Tensor) -> Tensor:
    """Returns (B, D) from fresh random numbers.

    Raises:
        FeatxError: If its clips are changed, or the result cannot be compared with texts.
    """
    label, before = own.record.label, clips.clone()
    torch.manual_seed(1)
    video: Tensor = model(clips, _mask(clips))
    if not torch.equal(clips, before):
        raise FeatxError(
            f"{label}: forward changes its clips in place; others read them too: work on clips.clone()"
        )
    if video.dtype != torch.float32:
        raise FeatxError(f"{label}: forward returns {video.dtype}; return float32, such as video.float()")
    if not video.isfinite().all():
        raise FeatxError(
            f"{label}: forward returns values that are not finite numbers, already with its start values; its clips are finite"
        )
    if (video.norm(dim=-1) == 0).any():
        raise FeatxError(
            f"{label}: forward returns zeros for a clip, which have no direction to compare with a text"
        )
    return video


def _check_tensors(own: OwnModel, model: OwnTemporal) -> None:
    for name, value in model.module.state_dict().items():
        if not isinstance(value, Tensor):
            raise FeatxError(
                f"{own.record.label}: its state_dict has '{name}', which is no tensor and cannot be saved; keep what is learned "
                "in parameters and buffers"
            )
        if nn.parameter.is_lazy(value):
            raise FeatxError(
                f"{own.record.label}: '{name}' has no shape before the first forward; give it one in __init__"
            )
        if value.is_floating_point() and not value.isfinite().all():
            raise FeatxError(f"{own.record.label}: '{name}' starts with values that are not finite numbers")
    for name, parameter in model.module.named_parameters():
        if parameter.dtype != torch.float32:
            raise FeatxError(f"{own.record.label}: parameter '{name}' is {parameter.dtype}; make it float32")


def _check_training(own: OwnModel, model: OwnTemporal, clips: Tensor, use: PlannedUse) -> None:
    label, learns = own.record.label, [p for p in model.parameters() if p.requires_grad]
    model.train()
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    video = _run(own, model, clips)
    if not torch.equal(video.detach(), _run(own, model, clips).detach()):
        raise FeatxError(
            f"{label}: gives other features for the same clips and torch.manual_seed; draw random numbers from torch alone, and "
            "keep no state from one batch to the next but in buffers"
        )
    changed = [name for name, value in model.named_buffers() if not torch.equal(value, buffers[name])]
    if changed and use.parts:
        raise FeatxError(
            f"{label}: forward changes its buffer '{changed[0].removeprefix('module.')}' (statistics of a batch), and a step's "
            "clips go through it in parts: leave out --accumulate and --devices, or take nn.LayerNorm"
        )
    if not learns:
        return
    if not video.requires_grad:
        raise FeatxError(
            f"{label}: no gradient reaches its {len(learns)} parameters; forward must not detach them or run under no_grad"
        )
    try:
        video.square().sum().backward()
    except Exception as error:
        raise FeatxError(f"{label}: the backward pass: {said_by(error)}") from error
    for name, parameter in model.module.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            raise FeatxError(f"{label}: the gradient of '{name}' is not finite on clips of unit length")


def _check_scoring(own: OwnModel, model: OwnTemporal, clips: Tensor) -> None:
    label = own.record.label
    with torch.no_grad():
        video = _run(own, model, clips)
        torch.manual_seed(2)
        if not torch.equal(model(clips, _mask(clips)), video):
            raise FeatxError(
                f"{label}: draws random numbers in eval mode too; draw them only if self.training"
            )
        alone = torch.cat([model(clips[n : n + 1], _mask(clips)[n : n + 1]) for n in range(CLIPS)])
    if (alone - video).norm() > CLOSE * video.norm():
        raise FeatxError(
            f"{label}: in eval mode the feature of a clip depends on the other clips of its batch, so that scores would depend "
            "on --batch-size; compute each clip by itself (dimension 0 is the batch)"
        )


def _check_saving(own: OwnModel, model: OwnTemporal, clips: Tensor, width: int) -> None:
    """Saves the module, and reads it into another one.

    Raises:
        FeatxError: If that fails, or the other one gives other features.
    """
    from safetensors.torch import load, save

    label = own.record.label
    try:
        tensors = load(save({name: value.contiguous() for name, value in model.state_dict().items()}))
        torch.manual_seed(3)
        again = own.build(width).eval()
        again.load_state_dict(tensors)
    except RuntimeError as error:
        raise FeatxError(
            f"{label}: its tensors cannot be saved and read again ({' '.join(str(error).split())[:200]}); give each weight one name, and use it "
            "twice in forward"
        ) from error
    with torch.no_grad():
        if not torch.equal(_run(own, again, clips), _run(own, model, clips)):
            raise FeatxError(
                f"{label}: is not the same after it is saved and read again; keep what is learned or drawn at random in "
                "nn.Parameter, sub-modules (nn.ModuleList) and register_buffer"
            )


def _check_copy(own: OwnModel, model: OwnTemporal) -> None:
    try:
        copy.deepcopy(model)
    except Exception as error:
        raise FeatxError(
            f"{own.record.label}: cannot be copied ({said_by(error)}), which --ema needs; keep only what can be pickled as "
            "attributes, or leave out --ema"
        ) from error
