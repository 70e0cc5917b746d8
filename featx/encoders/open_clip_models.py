"""Models of open_clip: an architecture, and pretrained weights by name or from a file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import nn

from featx.clip.preprocess import Preprocessing
from featx.clip.text_format import TextFormat
from featx.clip.text_weights import TextEncoder
from featx.devices import first_line
from featx.encoders.downloads import WEIGHTS_FOLDER, fetch_weights, has_sha256
from featx.encoders.hub import hub_file
from featx.encoders.model import ImageTextModel, frozen, weights_digest
from featx.encoders.open_clip_names import OpenClipSource, parse_source
from featx.encoders.open_clip_text import open_clip_format, open_clip_text
from featx.errors import FeatxError

POSITIONS = ("visual.positional_embedding", "positional_embedding", "text.positional_embedding")


def load_open_clip(source: str) -> ImageTextModel:
    """Loads a model of open_clip.

    Args:
        source: As given to `--model`: `open_clip:ARCHITECTURE@TAG`, `@FILE` or `@TAG=FILE`.

    Raises:
        FeatxError: If architecture or weights are not there, do not fit, or compute something that featx does not know.
    """
    wanted, said = parse_source(source), f"--model {source}"
    form = open_clip_format(wanted.config, said)
    file = wanted.file or _pretrained_file(wanted, said)
    return of_open_clip(frozen(_read(wanted, file, said)), form, source, wanted.name)


def read_open_clip_format(source: str) -> TextFormat:
    """Returns how the text encoder of a model takes texts, without its weights.

    Args:
        source: As `load_open_clip` takes it.

    Raises:
        FeatxError: If featx does not know such an encoder, or its tokenizer is not there.
    """
    return open_clip_format(parse_source(source).config, f"--model {source}")


def of_open_clip(
    model: Any, form: TextFormat, source: str = "", name: str = "", weights_sha256: str | None = None
) -> ImageTextModel:
    """Returns a module of open_clip as featx sees it.

    Args:
        model: A frozen `CLIP` or `CustomTextCLIP`.
        form: How its text encoder takes texts.
        source: As given to `--model`.
        name: What it is called in fingerprints.
        weights_sha256: Of its weights; computed if not given.

    Raises:
        FeatxError: If it computes something that featx does not know.
    """
    try:
        text = TextEncoder(form, open_clip_text(model))
        preprocessing = preprocessing_of(model)
    except FeatxError as error:
        raise FeatxError(f"--model {source}: {error}") from error
    return ImageTextModel(
        family="open_clip",
        source=source,
        name=name,
        weights_sha256=weights_digest(model) if weights_sha256 is None else weights_sha256,
        model=model,
        visual=model.visual,
        text=text,
        preprocessing=preprocessing,
        logit_scale=float(model.logit_scale.exp()),
        logit_bias=0.0 if model.logit_bias is None else float(model.logit_bias),
    )


def preprocessing_of(model: nn.Module) -> Preprocessing:
    """Returns what `open_clip.image_transform_v2` does for a model.

    Args:
        model: A module of open_clip.

    Raises:
        FeatxError: If it cannot be said so.
    """
    from open_clip import get_model_preprocess_cfg

    config = get_model_preprocess_cfg(model)
    size = config["size"]
    sides = {size} if isinstance(size, int) else set(size)
    mode = config.get("resize_mode") or "shortest"
    if len(sides) > 1 or mode not in ("shortest", "squash"):
        raise FeatxError(f"its pictures are prepared in a way ({size}, {mode}) that featx does not support")
    return Preprocessing(
        size=sides.pop(),
        squash=mode == "squash",
        # for pictures that are not for training, open_clip takes 'random' as bicubic
        kernel="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        mean=tuple(config["mean"]),
        deviation=tuple(config["std"]),
    )


def _read(wanted: OpenClipSource, file: Path, said: str) -> nn.Module:
    """Makes the architecture and reads all its weights from a file.

    Raises:
        FeatxError: If they do not fit.
    """
    import open_clip
    from open_clip.factory import load_state_dict

    try:
        with _quiet():
            shapes = (
                _position_shapes(load_state_dict(str(file))) if file.suffix not in (".npz", ".npy") else {}
            )
            model: nn.Module = open_clip.create_model(
                wanted.architecture, pretrained=str(file), force_preprocess_cfg=wanted.preprocessing
            )
    except Exception as error:  # of whatever a file may hold
        raise FeatxError(f"{said}: {file} does not fit this architecture ({_reason(error)})") from error
    for name, value in model.named_parameters():
        if name in shapes and shapes[name] != value.shape:  # open_clip would interpolate
            raise FeatxError(
                f"{said}: {file} has {shapes[name][0]} positions in '{name}', this architecture {value.shape[0]}; it is of another "
                "picture size or text length"
            )
    return model


def _position_shapes(state: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    shapes = {name: state[name].shape for name in POSITIONS if name in state}
    if "positional_embedding" in shapes:  # where the text encoder is a module of its own
        shapes.setdefault("text.positional_embedding", shapes["positional_embedding"])
    return shapes


def _reason(error: Exception) -> str:
    """Returns what is wrong: torch lists names and shapes below a line that only says that something is."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[1][:200] if len(lines) > 1 else first_line(error)


@contextmanager
def _quiet() -> Iterator[None]:
    """Within it, open_clip neither logs nor warns; what matters is asked and said by featx."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _pretrained_file(wanted: OpenClipSource, said: str) -> Path:
    """Returns the file of pretrained weights, from the network if it is not here.

    Raises:
        FeatxError: If it cannot or may not be downloaded.
    """
    from open_clip.pretrained import HF_WEIGHTS_NAME, _get_safe_alternatives, get_pretrained_cfg

    known = get_pretrained_cfg(wanted.architecture, wanted.tag)
    if hub := known.get("hf_hub"):
        place = PurePosixPath(hub)
        name, file = (str(place), HF_WEIGHTS_NAME) if hub.endswith("/") else (str(place.parent), place.name)
        return hub_file(name, [*_get_safe_alternatives(file), file], said)
    url = known["url"]
    file = Path(WEIGHTS_FOLDER).expanduser() / PurePosixPath(url).name
    sha256 = file.stem.rpartition("-")[2] if "mlfoundations" in url else ""  # as open_clip checks it
    if file.is_file() and has_sha256(file, sha256):
        return file
    fetch_weights(url, file, wanted.name, sha256, said)
    return file
