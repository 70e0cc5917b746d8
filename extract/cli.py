"""`featx extract`: runs the frozen CLIP image encoder over videos, once."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from featx.errors import FeatxError, Interrupted, PartialFailure

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def extract(
    videos: Annotated[
        list[Path], typer.Argument(help="Folders (searched recursively), video files, or manifests (.jsonl).")
    ],
    to: Annotated[Path, typer.Option("--to", help="Feature store to make or to go on with.")],
    model: Annotated[
        str, typer.Option(help="'tiny', one of OpenAI's names, or the path of a checkpoint.")
    ] = "ViT-B/16",
    format: Annotated[str, typer.Option(help="How shards are written: zarr or hdf5.")] = "zarr",
    dtype: Annotated[str, typer.Option(help="What features are stored as: float16 or float32.")] = "float16",
    batch_size: Annotated[int, typer.Option(min=1, help="Frames that are encoded at once.")] = 64,
    decoders: Annotated[int, typer.Option(min=0, help="Videos decoded at the same time; 0: one a core.")] = 0,
    device: Annotated[
        str, typer.Option(help="Where the encoder runs: cpu, cuda, cuda:1; auto takes a GPU if there is one.")
    ] = "auto",
    timeout: Annotated[
        float, typer.Option(min=1.0, help="Seconds that decoding one video may take.")
    ] = 3600.0,
) -> None:
    """Computes the CLIP features of every frame of VIDEOS and stores them in a feature store.

    Run the same command again to go on after an interruption: videos that are in the store are not touched, videos
    that failed are tried again. Exit codes: 0 all is well, 2 wrong use, 3 some videos failed (see failures.jsonl in
    the store), 130 interrupted.
    """
    for flag, value, allowed in [
        ("--format", format, ("zarr", "hdf5")),
        ("--dtype", dtype, ("float16", "float32")),
    ]:
        if value not in allowed:
            raise FeatxError(f"{flag} {value}: must be {' or '.join(allowed)}")
    from featx.extract.run import Options, extract_videos

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = Options(model, format, dtype, batch_size, decoders, device, timeout)
    try:
        counts, failures_file = extract_videos(videos, to, options)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped; every whole video is in {to}. Run the same command again to go on"
        ) from None
    if counts.failed:
        raise PartialFailure(
            f"{counts.failed} videos failed (they are tried again next time); see {failures_file}"
        )
