"""`featx manifest`: makes manifests, which say what videos there are and what they show."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from featx.errors import Interrupted

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def manifest() -> None:
    """Makes manifests: which videos there are, what they show, and which split they belong to."""


@app.command("moving-shapes")
def moving_shapes(
    to: Annotated[Path, typer.Option("--to", help="Folder for the videos and their manifest.jsonl.")],
    train: Annotated[int, typer.Option(min=1, help="Training videos of each of the 16 classes.")] = 20,
    test: Annotated[int, typer.Option(min=1, help="Test videos of each class.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one a core.")] = 0,
) -> None:
    """Generates moving shapes: short H.264 videos of coloured shapes that move, grow and shrink.

    Eight pairs of classes show the same pictures in opposite order: only a model of time can part them.
    """
    from rich.console import Console
    from rich.progress import track

    from featx.data_manifests.moving_shapes.generate import MANIFEST_FILE, class_texts, generate

    console = Console(stderr=True, soft_wrap=True)
    classes = len(class_texts())
    videos = generate(to, seed, {"train": train, "test": test}, workers or os.cpu_count() or 1)
    try:
        for _ in track(videos, "moving shapes", total=(train + test) * classes, console=console):
            pass
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; {to} is not complete. Run the same command again") from None
    console.print(f"{to / MANIFEST_FILE}: {train * classes} training and {test * classes} test videos")
