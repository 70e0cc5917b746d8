"""`featx adapter`: looks into adapter files, and makes them from the authors' checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.errors import FeatxError, printable
from featx.files import read_list
from featx.manifest import read_manifest

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)
ORDERS = ("rgb", "bgr")


@app.callback()
def adapter() -> None:
    """Looks into adapter files, and makes them from the authors' checkpoints."""


@app.command()
def info(
    adapter: Annotated[
        Path, typer.Argument(help="File of an adapter or a detector, or the folder of a run.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Says what an adapter or a detector learned, on what, and with which settings."""
    from featx.model.describe import describe, lines

    description = describe(adapter)
    if json:
        import json as json_module

        print(json_module.dumps(description, indent=2))
    else:
        print("\n".join(map(printable, lines(description))))


@app.command("import")
def import_(
    checkpoint: Annotated[Path, typer.Argument(help="A .pth.tar of the authors' released code.")],
    to: Annotated[Path, typer.Option("--to", help="Adapter file to write, or the folder of a run.")],
    model: Annotated[str, typer.Option(help="CLIP that it was trained with.")] = "ViT-B/16",
    classes: Annotated[
        Path | None,
        typer.Option(help="Its classes in order: a manifest (.jsonl), or a text file with one a line."),
    ] = None,
    prompts: Annotated[
        int,
        typer.Option(help="k: prompt vectors before and again after the class name (the file does not say)."),
    ] = 16,
    channel_order: Annotated[
        str,
        typer.Option(
            help="Colours of the pictures it was trained on, rgb or bgr; the released code's are bgr."
        ),
    ] = "bgr",
    store: Annotated[
        Path | None,
        typer.Option(help="Store whose features it is for, when not those of featx extract's defaults."),
    ] = None,
) -> None:
    """Makes an adapter file from a checkpoint of the authors' released code. Nothing in the checkpoint is run."""
    from featx.clip.load import load_clip
    from featx.dataset import load_clip_of
    from featx.model.adapter import ADAPTER_FILE, AdapterHeader, save_adapter
    from featx.model.released import STRIDE_WEIGHTS, STRIDES, read_released
    from featx.store.reader import FeatureStore
    from featx.store.schema import Fingerprint

    if channel_order not in ORDERS:
        raise FeatxError(f"--channel-order {channel_order}: must be {' or '.join(ORDERS)}")
    if not 1 <= prompts <= 37:
        raise FeatxError(f"--prompts {prompts}: must be 1 to 37")
    file = to if to.suffix == ".safetensors" else to / ADAPTER_FILE
    if file.exists():
        raise FeatxError(f"{file}: is there already; choose another --to or delete it")
    texts = _read_classes(classes) if classes else {}
    if store:
        opened = FeatureStore(store)
        clip, fingerprint = load_clip_of(opened, model), opened.header.fingerprint
    else:
        clip = load_clip(model)
        fingerprint = Fingerprint(
            model=clip.name,
            weights_sha256=clip.weights_sha256,
            input_size=clip.input_size,
            width=clip.width,
            channel_order=channel_order,
        )
    released = read_released(checkpoint, clip, prompts)
    header = AdapterHeader(
        config=released.adapter.config,
        fingerprint=fingerprint,
        model_source=clip.source,
        classes=texts,
        settings={"imported_from": checkpoint.name, "strides": STRIDES, "stride_weights": STRIDE_WEIGHTS},
    )
    save_adapter(file, released.adapter, header)
    print(f"{file}: {released.adapter.parameter_count():,} learned parameters, {len(texts)} classes")
    for ignored in released.ignored:
        print(printable(f"ignored: {ignored}"))


def _read_classes(file: Path) -> dict[str, str]:
    if file.suffix == ".jsonl":
        return read_manifest(file).header.classes
    return {name: name for name in read_list(file, "--classes", "class").values()}
