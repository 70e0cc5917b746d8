"""`featx manifest`: makes manifests, which say what videos there are and what they show, and checks them.

A command's parameters are its options, so that there may be many. `manifest_command` adds those that most share.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from featx.completion import one_of
from featx.errors import FeatxError
from featx.help_pages import CommandLine
from featx.output.console import say, stderr_console
from featx.signals import interruptible

from .building.entries import Annotations
from .cli_captions import app as captions_app
from .cli_lists import app as lists_app
from .cli_options import (
    AnnotationsFolder,
    ClassTexts,
    Commands,
    Name,
    Seed,
    SplitNumber,
    TestFraction,
    TextRule,
    To,
    finish,
    manifest_command,
    other_texts,
)

app = CommandLine(no_args_is_help=True)


@app.callback()
def manifest() -> None:
    """Makes manifests: which videos there are, what they show, and which split they belong to.

    Examples:
        featx manifest folder --videos videos --to mine.jsonl
        featx manifest hmdb51 --annotations testTrainMulti_7030_splits --videos hmdb51 --to hmdb51.jsonl
        featx manifest check mine.jsonl
    """


@app.command(rich_help_panel=Commands.OWN)
def folder(
    videos: Annotated[
        Path, typer.Option(help="Folder that holds CLASS/VIDEO, or train/CLASS/VIDEO and test/CLASS/VIDEO.")
    ],
    to: To,
    name: Name = None,
    test_fraction: TestFraction = 0.2,
    seed: Seed = 0,
    class_text: TextRule = "underscores",
    class_texts: ClassTexts = None,
) -> None:
    """Your own videos in class folders. Without split folders a test split is drawn at random.

    Examples:
        featx manifest folder --videos videos --to mine.jsonl
        featx manifest folder --videos videos --test-fraction 0.3 --seed 1 --to mine.jsonl
    """
    from .building.draw import SplitDraw
    from .own.folder import read_folder

    matched = read_folder(videos, to, name or to.stem, class_text, SplitDraw(test_fraction, seed))
    matched.manifest.header.classes.update(other_texts(class_texts, matched.manifest.labels))
    finish(matched)


@app.command(rich_help_panel=Commands.OWN)
@manifest_command(one_class=True)
def csv(
    table: Annotated[Path, typer.Argument(help="CSV file. Its first line names the columns.")],
    to: To,
    video_column: Annotated[
        str, typer.Option(help="Name of the column with the file name or path, with or without ending.")
    ] = "path",
    label_column: Annotated[
        str, typer.Option(help="Name of the column with the class. '' if there is none.")
    ] = "label",
    split_column: Annotated[
        str, typer.Option(help="Name of the column with the split. '' draws a test split at random.")
    ] = "split",
    delimiter: Annotated[
        str | None,
        typer.Option(help="Character between columns. By default a tab in .tsv files, else a comma."),
    ] = None,
    name: Name = None,
    test_fraction: TestFraction = 0.2,
    seed: Seed = 0,
    class_text: TextRule = "underscores",
) -> Annotations:
    """Your own videos in a CSV table, one row per video.

    Examples:
        featx manifest csv labels.csv --videos videos --to mine.jsonl
        featx manifest csv labels.tsv --video-column file --label-column action --store features/mine --to mine.jsonl
    """
    from .building.draw import SplitDraw
    from .own.table import TableColumns, read_table

    columns = TableColumns(video_column, label_column or None, split_column or None)
    between = delimiter or ("\t" if table.suffix == ".tsv" else ",")
    return read_table(table, name or to.stem, columns, between, class_text, SplitDraw(test_fraction, seed))


@app.command("moving-shapes", rich_help_panel=Commands.DATA_SETS)
def moving_shapes(
    to: Annotated[
        Path, typer.Option("--to", help="Folder in which the videos and manifest.jsonl are written.")
    ],
    task: Annotated[
        str,
        typer.Option(
            help="What to generate. recognition: short videos of one action. localisation: long videos of "
            "several actions. retrieval: short videos with captions.",
            autocompletion=one_of(("recognition", "localisation", "retrieval")),
        ),
    ] = "recognition",
    train: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of training videos: per class (recognition, 16 classes, default 20), per motion "
            "(retrieval, 12 motions, default 20), or in all (localisation, default 48).",
        ),
    ] = None,
    test: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of test videos: per class or motion (default 10), or in all (localisation, "
            "default 24).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random draws.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Number of processes. 0: one per CPU core.")] = 0,
) -> None:
    """Generates the moving-shapes data set: H.264 videos of coloured shapes that move, grow and shrink.

    The 16 classes are eight pairs that show the same pictures in opposite order. Only a model of time can tell the two
    classes of a pair apart.

    Examples:
        featx manifest moving-shapes --to shapes
        featx manifest moving-shapes --task localisation --train 48 --test 24 --to long-shapes
    """
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
    with interruptible(f"stopped; {to} is not complete. Run the same command again"):
        for _ in track(videos, "moving shapes", total=sum(counts.values()), console=stderr_console()):
            pass
    say(f"{to / MANIFEST_FILE}: {counts['train']} training and {counts['test']} test videos")


@app.command(rich_help_panel=Commands.DATA_SETS)
@manifest_command()
def hmdb51(annotations: AnnotationsFolder, split_number: SplitNumber = 1) -> Annotations:
    """HMDB51, from testTrainMulti_7030_splits or the method's authors' train_split01.txt and test_split01.txt.

    Examples:
        featx manifest hmdb51 --annotations testTrainMulti_7030_splits --videos hmdb51 --to hmdb51.jsonl
        featx manifest hmdb51 --annotations splits --store features/hmdb51 --split-number 2 --to hmdb51-2.jsonl
    """
    from .official.hmdb51 import read_hmdb51

    return read_hmdb51(annotations, split_number)


@app.command(rich_help_panel=Commands.DATA_SETS)
@manifest_command()
def ucf101(annotations: AnnotationsFolder, split_number: SplitNumber = 1) -> Annotations:
    """UCF101, from ucfTrainTestlist (classInd.txt, trainlist01.txt, testlist01.txt, …).

    Examples:
        featx manifest ucf101 --annotations ucfTrainTestlist --videos UCF-101 --to ucf101.jsonl
    """
    from .official.ucf101 import read_ucf101

    return read_ucf101(annotations, split_number)


@app.command(rich_help_panel=Commands.DATA_SETS)
@manifest_command()
def kinetics400(annotations: AnnotationsFolder) -> Annotations:
    """Kinetics-400, from train.csv, validate.csv and test.csv (those that are there).

    Examples:
        featx manifest kinetics400 --annotations kinetics400 --videos k400 --to k400.jsonl
    """
    from .official.kinetics import read_kinetics

    return read_kinetics("kinetics400", annotations)


@app.command(rich_help_panel=Commands.DATA_SETS)
@manifest_command()
def kinetics700(annotations: AnnotationsFolder) -> Annotations:
    """Kinetics-700 of 2020, from train.csv, val.csv and test.csv (those that are there).

    Examples:
        featx manifest kinetics700 --annotations kinetics700_2020 --videos k700 --to k700.jsonl
    """
    from .official.kinetics import read_kinetics

    return read_kinetics("kinetics700", annotations)


@app.command(rich_help_panel=Commands.DATA_SETS)
@manifest_command()
def thumos14(
    annotations: AnnotationsFolder,
    exclude: Annotated[
        str | None,
        typer.Option(
            help="Rule that excludes test videos, named by how many remain: 213 (excludes none; the "
            "default), 212, 211, 211-wrong or 210.",
            autocompletion=one_of(("213", "212", "211", "211-wrong", "210")),
        ),
    ] = None,
) -> Annotations:
    """THUMOS14 (localisation), from <Class>_val.txt (split train), <Class>_test.txt and Ambiguous_*.txt.

    Examples:
        featx manifest thumos14 --annotations annotations --videos thumos14 --to thumos14.jsonl
    """
    from .official.thumos14 import read_thumos14

    return read_thumos14(annotations, exclude)


@app.command(rich_help_panel=Commands.DATA_SETS)
@manifest_command()
def activitynet(annotations: AnnotationsFolder) -> Annotations:
    """ActivityNet 1.3 (localisation), from activity_net.v1-3.min.json.

    Examples:
        featx manifest activitynet --annotations annotations --videos activitynet --to activitynet.jsonl
    """
    from .official.activitynet import read_activitynet

    return read_activitynet(annotations)


@app.command("activitynet-json", rich_help_panel=Commands.OWN)
@manifest_command()
def activitynet_json(
    file: Annotated[Path, typer.Argument(help="JSON file in ActivityNet's form, of any data set.")],
    to: To,
    name: Name = None,
    subset: Annotated[
        list[str] | None,
        typer.Option(
            help="Split that a subset becomes, such as validation=train. May be given several times. By "
            "default ActivityNet's subsets become train, val and test."
        ),
    ] = None,
    class_text: TextRule = "as-is",
) -> Annotations:
    """Your own segments (localisation) in ActivityNet's JSON: {"database": {ID: {"subset", "duration", "annotations"}}}.

    Examples:
        featx manifest activitynet-json mine.json --videos videos --to segments.jsonl
    """
    from .official.activitynet import read_activitynet_json

    return read_activitynet_json(file, name or to.stem, class_text, subset or [])


app.add_typer(captions_app)
app.add_typer(lists_app)
