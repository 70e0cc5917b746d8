"""What the file of an adapter or a detector says of itself, for `featx adapter info`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.localisation.detector import DETECTOR_FILE, DetectorHeader, read_detector_header
from featx.model.adapter import ADAPTER_FILE, AdapterHeader, read_header
from featx.model.code.record import ModelCode
from featx.model.learned_file import kind_of

SHOWN_CLASSES = 5
NAME_WIDTH = 11  # characters in front of what a line says


def describe(path: Path) -> dict[str, Any]:
    """Returns the header of an adapter or a detector, its tensors, and how large it is.

    Args:
        path: Its file, or the folder of a run.

    Raises:
        FeatxError: If it is neither.
    """
    file = file_of(path)
    header = _read(file)
    from safetensors import safe_open

    with safe_open(str(file), framework="np") as opened:
        slices = {name: opened.get_slice(name) for name in sorted(opened.keys())}
        tensors = {name: {"shape": s.get_shape(), "dtype": s.get_dtype()} for name, s in slices.items()}
    parameters = sum(_product(tensor["shape"]) for tensor in tensors.values())
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "parameters": parameters,
        **header.model_dump(mode="json"),
        "tensors": tensors,
    }


def file_of(path: Path) -> Path:
    """Returns the file of an adapter or a detector: what was given, or the one in the folder of a run."""
    names = [name for name in (ADAPTER_FILE, DETECTOR_FILE) if (path / name).exists()]
    return path / (names or [ADAPTER_FILE])[0] if path.is_dir() else path


def model_code(path: Path) -> ModelCode:
    """Returns the code that an adapter was trained with.

    Args:
        path: Its file, or the folder of a run.

    Raises:
        FeatxError: If it is no adapter, or was trained without.
    """
    file = file_of(path)
    header = _read(file)
    code = header.config.model_code if isinstance(header, AdapterHeader) else None
    if code is None:
        raise FeatxError(f"{file}: has no code of its own; only featx train --model-code keeps some")
    return code


def _read(file: Path) -> AdapterHeader | DetectorHeader:
    is_detector = kind_of(file) == "featx_detector"
    return read_detector_header(file) if is_detector else read_header(file)


def lines(description: dict[str, Any]) -> list[str]:
    """Returns a description for a reader."""
    config, features, classes = (description[name] for name in ("config", "fingerprint", "classes"))
    some = ", ".join(list(classes.values())[:SHOWN_CLASSES])
    settings = (f"{key}={value}" for key, value in description["settings"].items())
    return [
        f"{description['file']}: {description['bytes']:,} bytes, {description['parameters']:,} learned parameters",
        *(_of_adapter(config) if "featx_adapter" in description else _of_detector(config)),
        f"features   {', '.join(f'{key} {value}' for key, value in features.items())}",
        f"classes    {len(classes)}: {some}{', …' if len(classes) > SHOWN_CLASSES else ''}",
        f"settings   {', '.join(settings)}",
        *(
            f"tensor     {name} {tuple(t['shape'])} {t['dtype']}"
            for name, t in description["tensors"].items()
        ),
    ]


def _of_adapter(config: dict[str, Any]) -> list[str]:
    k = config["prompts"]
    prompts = f"{k}+X+{k if config['suffix'] else 0}, layout {config['layout']}" if k else "none"
    return [
        f"task       {config['task']}",
        f"prompts    {prompts}",
        f"template   {config['template'] or 'default'}",
        *_of_time(config),
    ]


def _of_time(config: dict[str, Any]) -> list[str]:
    clips = f"clips of {config['clip_frames']} frames"
    if code := config.get("model_code"):
        options = ", ".join(f"{name}={json.dumps(value)}" for name, value in code["options"].items())
        return [
            f"time       {code['reference']}({options}), {clips}",
            f"code       {code['file']}, sha256 {code['sha256']}, {len(code['source'].splitlines())} lines: featx adapter code",
        ]
    positions = "learned positions" if config["positions"] else "no positions"
    return [f"time       {config['layers']} layers, {config['heads']} heads, {clips}, {positions}"]


def _of_detector(config: dict[str, Any]) -> list[str]:
    step = (
        f"{config['grid_step_s']:g} s" if config["grid_step_s"] else f"1/{config['grid_steps']} of the video"
    )
    return [
        "task       proposals",
        f"detector   width {config['width']}, {config['heads']} heads, {config['levels']} levels, window {config['window']}",
        f"grid       steps of {step}, features {config['normalise']}",
    ]


def _product(shape: list[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
