"""`featx manifest check`, `episodes` and `class-split`: what is done with a manifest that there is.

A command's parameters are its options, so that there may be many.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from featx.errors import FeatxError, printable
from featx.help_pages import CommandLine

from .cli_options import Commands

app = CommandLine()

ManifestFile = Annotated[
    Path, typer.Option("--manifest", help="Manifest whose videos and classes are used (.jsonl).")
]


@app.command(rich_help_panel=Commands.AFTERWARDS)
def check(
    file: Annotated[Path, typer.Argument(help="Manifest to check (.jsonl).")],
    store: Annotated[
        Path | None, typer.Option(help="Feature store. Also report the videos that it lacks.")
    ] = None,
    allow_overlap: Annotated[
        bool,
        typer.Option(
            "--allow-overlap", help="Report a file in two splits as a warning. By default it is an error."
        ),
    ] = False,
    limit: Annotated[
        int, typer.Option(min=0, help="Largest number of printed errors, and of printed warnings. 0: all.")
    ] = 50,
    classes: Annotated[
        bool, typer.Option("--classes", help="Also print the number of videos of each class and split.")
    ] = False,
) -> None:
    """Checks a manifest and lists every problem with its line number. Exit code 2 if the manifest cannot be used.

    Examples:
        featx manifest check mine.jsonl
        featx manifest check mine.jsonl --store features/mine
    """
    from .building.check import check_manifest, class_table, summary

    store_ids = None
    if store is not None:
        from featx.store.reader import FeatureStore

        store_ids = FeatureStore(store)
    checked = check_manifest(file, store_ids, allow_overlap)
    lines = summary(checked, file, store_ids)
    if classes:
        lines += class_table(checked)
    for severity in ("error", "warning"):
        found = [f"{severity}: {one.at(file)}" for one in checked.problems if one.severity == severity]
        shown = found[:limit] if limit else found
        lines += shown
        if len(found) > len(shown):
            lines.append(f"{severity}: … and {len(found) - len(shown):,} more; --limit 0 lists all")
    for line in lines:
        typer.echo(printable(line))
    if checked.errors:
        raise FeatxError(f"{file}: {checked.errors:,} errors, listed above")
    typer.echo(f"no errors, {len(checked.problems):,} warnings")


@app.command(rich_help_panel=Commands.AFTERWARDS)
def episodes(
    manifest: ManifestFile,
    to: Annotated[Path, typer.Option("--to", help="Episodes file to write (.jsonl).")],
    lists: Annotated[
        Path | None,
        typer.Option(
            help="Folder of lists to read episodes from: train/split_0.list, test/split_0.list, … By "
            "default episodes are drawn at random."
        ),
    ] = None,
    ways: Annotated[str, typer.Option(help="Number of classes per episode, or all.")] = "5",
    shots: Annotated[int, typer.Option(min=1, help="Number K of training videos per class.")] = 5,
    count: Annotated[
        int | None,
        typer.Option(
            "--episodes", min=1, help="Number of episodes to draw. By default 200, or 10 with --ways all."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random draw.")] = 0,
    train_splits: Annotated[
        str | None,
        typer.Option(
            help="Splits to draw training videos from, such as train,test. By default every split, or "
            "train with --ways all."
        ),
    ] = None,
    test_split: Annotated[
        str | None,
        typer.Option(
            help="Test each episode on this whole split. By default on the remaining videos of its "
            "classes, or with --ways all on the split test (else val)."
        ),
    ] = None,
) -> None:
    """Few-shot episodes: N-way K-shot, or K-shot with all classes, from lists or drawn at random.

    Examples:
        featx manifest episodes --manifest mine.jsonl --ways 5 --shots 5 --episodes 200 --to 5way.jsonl
    """
    from featx.manifest.episodes import Episodes, EpisodesHeader, write_episodes
    from featx.manifest.videos import read_manifest

    from .building.draw import EpisodeDraw, draw_episodes
    from .building.lists import read_episode_lists

    read = read_manifest(manifest)
    splits = list(dict.fromkeys(video.split for video in read.videos if video.split))
    whole_split = test_split or ("test" if "test" in splits or "val" not in splits else "val")
    if lists is not None:
        drawn = read_episode_lists(lists, read, whole_split)
        source = f"lists in {lists}"
    else:
        all_classes = ways == "all"
        if not all_classes and not (ways.isdecimal() and int(ways) > 0):
            raise FeatxError(f"--ways {ways}: must be a number of classes, or all")
        default_pool = ["train"] if all_classes else splits
        pool = train_splits.split(",") if train_splits else default_pool
        draw = EpisodeDraw(
            None if all_classes else int(ways), shots, pool, whole_split if all_classes else test_split, seed
        )
        drawn = draw_episodes(read, draw, count or (10 if all_classes else 200))
        source = f"drawn from {', '.join(pool)}: {ways} ways, {shots} shots, seed {seed}"
    write_episodes(Episodes(EpisodesHeader(name=read.header.name, source=source), drawn), to)
    sizes = [
        _range(len(getattr(one, part)) for one in drawn) for part in ("classes", "train", "test")
    ]  # fmt: skip
    typer.echo(
        printable(
            f"{to}: {len(drawn)} episodes of {sizes[0]} classes, {sizes[1]} training and {sizes[2]} test videos ({source})"
        )
    )


def _range(numbers: Iterable[int]) -> str:
    known = sorted(numbers)
    return f"{known[0]:,}" if known[0] == known[-1] else f"{known[0]:,} to {known[-1]:,}"


@app.command("class-split", rich_help_panel=Commands.AFTERWARDS)
def class_split(
    manifest: ManifestFile,
    to: Annotated[Path, typer.Option("--to", help="Class-splits file to write (.jsonl).")],
    train_list: Annotated[
        Path | None, typer.Option(help="Text file of the seen classes, one per line.")
    ] = None,
    test_list: Annotated[
        Path | None, typer.Option(help="Text file of the unseen classes, one per line.")
    ] = None,
    lists: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the lists of several class splits: train/split_0.list, test/split_0.list, …"
        ),
    ] = None,
    seen: Annotated[
        float | None,
        typer.Option(
            help="Fraction of the classes that is seen. Draws class splits at random instead of reading "
            "lists."
        ),
    ] = None,
    count: Annotated[int, typer.Option("--splits", min=1, help="Number of class splits to draw.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random draw.")] = 0,
) -> None:
    """Seen and unseen classes for open-set evaluation, from lists or drawn at random.

    Examples:
        featx manifest class-split --manifest mine.jsonl --seen 0.5 --splits 10 --to open.jsonl
    """
    from featx.manifest.episodes import ClassSplits, ClassSplitsHeader, write_class_splits
    from featx.manifest.videos import read_manifest

    from .building.draw import draw_class_splits
    from .building.lists import find_lists, read_class_lists

    pair = train_list is not None or test_list is not None
    if sum([pair, lists is not None, seen is not None]) != 1:
        raise FeatxError("one of --train-list with --test-list, --lists, or --seen is needed")
    read = read_manifest(manifest)
    if lists is not None:
        splits, source = read_class_lists(find_lists(lists), read), f"lists in {lists}"
    elif seen is not None:
        splits, source = draw_class_splits(read.labels, seen, count, seed), f"drawn: {seen} seen, seed {seed}"
    else:
        if train_list is None or test_list is None:
            raise FeatxError("--train-list and --test-list belong together")
        pairs = {"split_0": {"train": train_list, "test": test_list}}
        splits, source = read_class_lists(pairs, read), f"{train_list}, {test_list}"
    write_class_splits(ClassSplits(ClassSplitsHeader(name=read.header.name, source=source), splits), to)
    sizes = [_range(len(getattr(one, part)) for one in splits) for part in ("seen", "unseen")]
    typer.echo(
        printable(
            f"{to}: {len(splits)} class splits, {sizes[0]} seen and {sizes[1]} unseen classes ({source})"
        )
    )
    left = len(read.labels) - min(len(one.seen) + len(one.unseen) for one in splits)
    if left:
        typer.echo(
            printable(f"note: {left} of the {len(read.labels)} classes of {manifest} are in neither part")
        )
