"""`featx manifest`: makes manifests, which say what videos there are and what they show, and checks them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from featx.errors import FeatxError, Interrupted

from .cli_captions import app as captions_app
from .cli_lists import app as lists_app
from .cli_options import (
    AllowOverlap,
    AnnotationsFolder,
    ClassTexts,
    Name,
    Seed,
    SplitNumber,
    Store,
    TestFraction,
    TextRule,
    To,
    Videos,
    finish,
    match_entries,
    other_texts,
)

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def manifest() -> None:
    """Makes manifests: which videos there are, what they show, and which split they belong to."""


@app.command("moving-shapes")
def moving_shapes(
    to: Annotated[Path, typer.Option("--to", help="Folder for the videos and their manifest.jsonl.")],
    task: Annotated[
        str,
        typer.Option(
            help="recognition: short videos of one action; localisation: long ones of several; retrieval: captioned ones."
        ),
    ] = "recognition",
    train: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Training videos of each of the 16 classes [20], or (retrieval) of the 12 motions [20]; localisation: of "
            "all together [48].",
        ),
    ] = None,
    test: Annotated[
        int | None, typer.Option(min=1, help="Test videos of each class [10]; of all together [24].")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one a core.")] = 0,
) -> None:
    """Generates moving shapes: H.264 videos of coloured shapes that move, grow and shrink.

    Eight pairs of classes show the same pictures in opposite order: only a model of time can part them.
    """
    from rich.console import Console
    from rich.progress import track

    from .moving_shapes.captioned import generate_captioned
    from .moving_shapes.generate import MANIFEST_FILE, class_texts, generate
    from .moving_shapes.untrimmed import generate_untrimmed
    from .moving_shapes.world import MOTIONS

    processes = workers or os.cpu_count() or 1
    if task == "recognition":
        counts = {"train": train or 20, "test": test or 10}
        videos = generate(to, seed, counts, processes)
        counts = {split: count * len(class_texts()) for split, count in counts.items()}
    elif task == "localisation":
        counts = {"train": train or 48, "test": test or 24}
        videos = generate_untrimmed(to, seed, counts, processes)
    elif task == "retrieval":
        counts = {"train": train or 20, "test": test or 10}
        videos = generate_captioned(to, seed, counts, processes)
        counts = {split: count * len(MOTIONS) for split, count in counts.items()}
    else:
        raise FeatxError(f"--task {task}: must be recognition, localisation or retrieval")
    console = Console(stderr=True, soft_wrap=True)
    try:
        for _ in track(videos, "moving shapes", total=sum(counts.values()), console=console):
            pass
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; {to} is not complete. Run the same command again") from None
    console.print(f"{to / MANIFEST_FILE}: {counts['train']} training and {counts['test']} test videos")


@app.command()
def hmdb51(
    annotations: AnnotationsFolder,
    to: To,
    videos: Videos = None,
    store: Store = None,
    split_number: SplitNumber = 1,
    class_texts: ClassTexts = None,
    allow_overlap: AllowOverlap = False,
) -> None:
    """HMDB51, from testTrainMulti_7030_splits or the method's authors' train_split01.txt and test_split01.txt."""
    from .official.hmdb51 import read_hmdb51

    finish(
        match_entries(read_hmdb51(annotations, split_number), to, videos, store, class_texts, allow_overlap)
    )


@app.command()
def ucf101(
    annotations: AnnotationsFolder,
    to: To,
    videos: Videos = None,
    store: Store = None,
    split_number: SplitNumber = 1,
    class_texts: ClassTexts = None,
    allow_overlap: AllowOverlap = False,
) -> None:
    """UCF101, from ucfTrainTestlist (classInd.txt, trainlist01.txt, testlist01.txt, …)."""
    from .official.ucf101 import read_ucf101

    finish(
        match_entries(read_ucf101(annotations, split_number), to, videos, store, class_texts, allow_overlap)
    )


@app.command()
def kinetics400(
    annotations: AnnotationsFolder,
    to: To,
    videos: Videos = None,
    store: Store = None,
    class_texts: ClassTexts = None,
    allow_overlap: AllowOverlap = False,
) -> None:
    """Kinetics-400, from train.csv, validate.csv and test.csv (those that are there)."""
    from .official.kinetics import read_kinetics

    finish(
        match_entries(
            read_kinetics("kinetics400", annotations), to, videos, store, class_texts, allow_overlap
        )
    )


@app.command()
def kinetics700(
    annotations: AnnotationsFolder,
    to: To,
    videos: Videos = None,
    store: Store = None,
    class_texts: ClassTexts = None,
    allow_overlap: AllowOverlap = False,
) -> None:
    """Kinetics-700 of 2020, from train.csv, val.csv and test.csv (those that are there)."""
    from .official.kinetics import read_kinetics

    finish(
        match_entries(
            read_kinetics("kinetics700", annotations), to, videos, store, class_texts, allow_overlap
        )
    )


@app.command()
def thumos14(
    annotations: AnnotationsFolder,
    to: To,
    videos: Videos = None,
    store: Store = None,
    exclude: Annotated[
        str | None,
        typer.Option(
            help="Which test videos are left out, by how many stay: 213 (none), 212, 211, 211-wrong or 210."
        ),
    ] = None,
    class_texts: ClassTexts = None,
    allow_overlap: AllowOverlap = False,
) -> None:
    """THUMOS14 (localisation), from <Class>_val.txt, <Class>_test.txt and Ambiguous_*.txt; validation becomes train."""
    from .official.thumos14 import read_thumos14

    finish(match_entries(read_thumos14(annotations, exclude), to, videos, store, class_texts, allow_overlap))


@app.command()
def activitynet(
    annotations: AnnotationsFolder,
    to: To,
    videos: Videos = None,
    store: Store = None,
    class_texts: ClassTexts = None,
    allow_overlap: AllowOverlap = False,
) -> None:
    """ActivityNet 1.3 (localisation), from activity_net.v1-3.min.json."""
    from .official.activitynet import read_activitynet

    finish(match_entries(read_activitynet(annotations), to, videos, store, class_texts, allow_overlap))


@app.command("activitynet-json")
def activitynet_json(
    file: Annotated[Path, typer.Argument(help="JSON file of ActivityNet's form, of whatever data set.")],
    to: To,
    videos: Videos = None,
    store: Store = None,
    name: Name = None,
    subset: Annotated[
        list[str] | None,
        typer.Option(
            help="A subset's split, as validation=train; else ActivityNet's are train, val and test."
        ),
    ] = None,
    class_text: TextRule = "as-is",
    class_texts: ClassTexts = None,
    allow_overlap: AllowOverlap = False,
) -> None:
    """Any localisation data set in ActivityNet's JSON: {"database": {ID: {"subset", "duration", "annotations"}}}."""
    from .official.activitynet import read_activitynet_json

    read = read_activitynet_json(file, name or to.stem, class_text, subset or [])
    finish(match_entries(read, to, videos, store, class_texts, allow_overlap))


@app.command()
def folder(
    videos: Annotated[Path, typer.Option(help="CLASS/VIDEO, or train/CLASS/VIDEO and test/CLASS/VIDEO.")],
    to: To,
    name: Name = None,
    test_fraction: TestFraction = 0.2,
    seed: Seed = 0,
    class_text: TextRule = "underscores",
    class_texts: ClassTexts = None,
) -> None:
    """Your own videos in class folders; split folders are taken, else the test is drawn."""
    from .own.folder import read_folder

    matched = read_folder(videos, to, name or to.stem, class_text, test_fraction, seed)
    matched.manifest.header.classes.update(other_texts(class_texts, matched.manifest.labels))
    finish(matched)


@app.command()
def csv(
    table: Annotated[Path, typer.Argument(help="CSV file; its first line names the columns.")],
    to: To,
    videos: Videos = None,
    store: Store = None,
    video_column: Annotated[str, typer.Option(help="Column with file name or path, ending or not.")] = "path",
    label_column: Annotated[str, typer.Option(help="Column with the class; '' if there is none.")] = "label",
    split_column: Annotated[str, typer.Option(help="Column with the split; '' draws it.")] = "split",
    delimiter: Annotated[
        str | None, typer.Option(help="Between columns; a tab in .tsv files, else a comma.")
    ] = None,
    allow_overlap: AllowOverlap = False,
    name: Name = None,
    test_fraction: TestFraction = 0.2,
    seed: Seed = 0,
    class_text: TextRule = "underscores",
    class_texts: ClassTexts = None,
) -> None:
    """Your own videos in a table: one row a video."""
    from .own.table import read_table

    read = read_table(
        table,
        name or to.stem,
        video_column,
        label_column or None,
        split_column or None,
        delimiter or ("\t" if table.suffix == ".tsv" else ","),
        class_text,
        test_fraction,
        seed,
    )
    finish(match_entries(read, to, videos, store, class_texts, allow_overlap, one_class=True))


app.add_typer(captions_app)
app.add_typer(lists_app)
