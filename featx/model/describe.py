"""What an adapter file says of itself, for `featx adapter info`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from featx.model.adapter import ADAPTER_FILE, read_header

SHOWN_CLASSES = 5


def describe(path: Path) -> dict[str, Any]:
    """Returns an adapter's header, its tensors, and how large it is.

    Args:
        path: An adapter file, or the folder of a run.

    Raises:
        FeatxError: If there is no adapter.
    """
    from safetensors import safe_open

    file = path / ADAPTER_FILE if path.is_dir() else path
    header = read_header(file)
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


def lines(description: dict[str, Any]) -> list[str]:
    """Returns a description for a reader."""
    config, features, classes = (description[name] for name in ("config", "fingerprint", "classes"))
    prompts = (
        f"{config['prompts']}+X+{config['prompts']}, layout {config['layout']}"
        if config["prompts"]
        else "none"
    )
    some = ", ".join(list(classes.values())[:SHOWN_CLASSES])
    settings = (f"{key}={value}" for key, value in description["settings"].items())
    return [
        f"{description['file']}: {description['bytes']:,} bytes, {description['parameters']:,} learned parameters",
        f"task       {config['task']}",
        f"prompts    {prompts}",
        f"template   {config['template'] or 'default'}",
        f"time       {config['layers']} layers, {config['heads']} heads, clips of {config['clip_frames']} frames",
        f"features   {', '.join(f'{key} {value}' for key, value in features.items())}",
        f"classes    {len(classes)}: {some}{', …' if len(classes) > SHOWN_CLASSES else ''}",
        f"settings   {', '.join(settings)}",
        *(
            f"tensor     {name} {tuple(t['shape'])} {t['dtype']}"
            for name, t in description["tensors"].items()
        ),
    ]


def _product(shape: list[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
