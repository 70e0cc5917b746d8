"""`featx adapter`: looks into adapter files, and makes them from the authors' checkpoints.

A command's parameters are its options, so that there may be many.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.clip.choices import MODELS
from featx.completion import one_of
from featx.errors import FeatxError, printable
from featx.help_pages import CommandLine
from featx.manifest.class_lists import read_class_names
from featx.manifest.videos import read_manifest

app = CommandLine(no_args_is_help=True)
ORDERS = ("rgb", "bgr")
MODEL = "ViT-B/16"  # of the authors' program, where its checkpoint holds CLIP to compare with


@app.callback()
def adapter() -> None:
    """Looks into adapter files, and makes them from the authors' checkpoints.

    Examples:
        featx adapter info runs/mine
    """


@app.command()
def info(
    adapter: Annotated[
        Path, typer.Argument(help="File of an adapter or a detector, or the folder of a run.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Prints what an adapter or a detector has learned, from which data, and with which settings.

    Examples:
        featx adapter info runs/mine
        featx adapter info runs/mine --json
    """
    from featx.adapter_files.describe import NAME_WIDTH, describe, lines
    from featx.output.terminal import fitted

    description = describe(adapter)
    if json:
        import json as json_module

        print(json_module.dumps(description, indent=2))
    else:
        print("\n".join(fitted(printable(line), NAME_WIDTH) for line in lines(description)))


@app.command()
def code(
    adapter: Annotated[Path, typer.Argument(help="File of an adapter, or the folder of a run.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="File to write it into. By default it is printed.")
    ] = None,
) -> None:
    """Prints the source of the temporal model that an adapter was trained with (featx train --model-code).

    Nothing of it is run. It is as the adapter keeps it: read it before you use it.

    Examples:
        featx adapter code runs/gru --to my_gru.py
    """
    from featx.adapter_files.describe import model_code
    from featx.files.atomic import write_atomically

    recorded = model_code(adapter)
    if to is None:
        print("\n".join(map(printable, recorded.source.splitlines())))
        return
    if to.exists():
        raise FeatxError(f"{to}: is there already; choose another --to or delete it")
    write_atomically(to, recorded.source.encode())
    print(printable(f"{to}: {recorded.name}, sha256 {recorded.sha256}"))


@app.command("import")
def import_(
    checkpoint: Annotated[Path, typer.Argument(help="A .pth.tar of the authors' released code.")],
    to: Annotated[Path, typer.Option("--to", help="Adapter file to write, or the folder of a run.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="CLIP that the checkpoint was trained with: a name or a checkpoint's path. Needed if "
            "neither the checkpoint nor --store says it. By default ViT-B/16 is tried.",
            show_default=False,
            autocompletion=one_of(MODELS.values),
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            help="Classes that the checkpoint learned, in order: a manifest (.jsonl), or a text file with "
            "one class per line."
        ),
    ] = None,
    prompts: Annotated[
        int | None,
        typer.Option(
            help="Number k of prompt vectors before the class name, and as many after it; 0: none. "
            "Required, because the checkpoint does not say it (the authors' --prefix and --postfix).",
            show_default=False,
        ),
    ] = None,
    suffix: Annotated[
        bool,
        typer.Option(
            "--suffix/--no-suffix",
            help="Whether there are prompts after the class name too, as there are by default. --no-suffix "
            "corresponds to the authors' --postfix 0.",
            show_default=False,
        ),
    ] = True,
    temporal: Annotated[
        bool | None,
        typer.Option(
            "--temporal/--no-temporal",
            help="Whether positions and the temporal Transformer were used, or the plain mean of the "
            "frames. Required, because the checkpoint does not say it (the authors' --temporal 1 or "
            "0).",
            show_default=False,
        ),
    ] = None,
    heads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of attention heads of the temporal Transformer. Required if it has layers, "
            "because the checkpoint does not say it (the authors' --tfm_heads).",
            show_default=False,
        ),
    ] = None,
    channel_order: Annotated[
        str,
        typer.Option(
            help="Order of the colours in the features that the checkpoint was trained on: rgb or bgr. "
            "The released features are bgr.",
            autocompletion=one_of(ORDERS),
        ),
    ] = "bgr",
    store: Annotated[
        Path | None,
        typer.Option(
            help="Feature store whose fingerprint the adapter gets. By default that of features made with "
            "featx extract's defaults and --channel-order."
        ),
    ] = None,
) -> None:
    """Makes an adapter file from a checkpoint of the authors' released code. Nothing in the checkpoint is run.

    Examples:
        featx adapter import model.pth.tar --model ViT-B/16 --prompts 16 --temporal --heads 8 --to runs/theirs
    """
    from featx.adapter_files.authors_checkpoint import STRIDE_WEIGHTS, STRIDES, HowTrained, read_released
    from featx.encoders.load import load_model
    from featx.features.dataset import load_model_of
    from featx.model.adapter import ADAPTER_FILE, AdapterHeader, save_adapter
    from featx.store.reader import FeatureStore
    from featx.store.schema import Fingerprint

    if channel_order not in ORDERS:
        raise FeatxError(f"--channel-order {channel_order}: must be {' or '.join(ORDERS)}")
    if prompts is None or temporal is None:
        option, theirs = (
            ("--prompts K", "--prefix and --postfix")
            if prompts is None
            else ("--temporal or --no-temporal", "--temporal 1 or 0")
        )
        raise FeatxError(
            f"{checkpoint}: does not say how it was trained: give {option} (the authors' {theirs})"
        )
    if not 0 <= prompts <= 37:
        raise FeatxError(f"--prompts {prompts}: must be 0 to 37")
    file = to if to.suffix == ".safetensors" else to / ADAPTER_FILE
    if file.exists():
        raise FeatxError(f"{file}: is there already; choose another --to or delete it")
    texts = _read_classes(classes) if classes else {}
    if store:
        opened = FeatureStore(store)
        clip, fingerprint = load_model_of(opened, model), opened.header.fingerprint
    else:
        clip = load_model(model or MODEL)
        fingerprint = Fingerprint(
            family=clip.family,
            model=clip.name,
            activation=clip.activation,
            weights_sha256=clip.weights_sha256,
            input_size=clip.input_size,
            width=clip.width,
            channel_order=channel_order,
        )
    released = read_released(checkpoint, clip, HowTrained(prompts, suffix, temporal, heads))
    if model is None and store is None and not released.names_clip:
        raise FeatxError(f"{checkpoint}: does not hold the CLIP it was trained with: give --model NAME")
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
    return read_class_names(file, "--classes")
