"""`featx store`: looks at feature stores, checks them, and makes them from and into other things."""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from featx.errors import PartialFailure, ProblemsFound, printable
from featx.help_pages import CommandLine
from featx.output.console import stderr_console
from featx.output.terminal import fitted
from featx.settings import gather, with_options
from featx.signals import interruptible
from featx.store.upkeep.imports import ImportSettings
from featx.store.upkeep.index_cli import app as index_app
from featx.store.upkeep.living_cli import Commands, Store
from featx.store.upkeep.living_cli import app as living_app
from featx.store.upkeep.probe_cli import app as probe_app
from featx.store.upkeep.status_cli import app as status_app

app = CommandLine(
    no_args_is_help=True,
)


@app.callback()
def store() -> None:
    """Looks at feature stores, checks them, and makes them from and into other things.

    Examples:
        featx store info features/mine
        featx store verify features/mine
    """


class Format(StrEnum):
    """File format of the store's shards."""

    zarr = "zarr"
    hdf5 = "hdf5"


class Dtype(StrEnum):
    """Number type in which features are stored."""

    float16 = "float16"
    float32 = "float32"


class ExportFormat(StrEnum):
    """What a store can be exported as."""

    npy = "npy"
    parquet = "parquet"
    webdataset = "webdataset"


app.add_typer(living_app)
app.add_typer(probe_app)
app.add_typer(status_app)
app.add_typer(index_app)


NewStore = Annotated[Path, typer.Option("--to", help="Folder of the new store. Must not exist.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command(rich_help_panel=Commands.LOOK)
def info(store: Store, as_json: AsJson = False) -> None:
    """Prints how STORE was made and how much is in it.

    Examples:
        featx store info features/mine
    """
    from featx.store.upkeep.info import describe

    figures = describe(store)
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    spread = figures["rows_per_video"]
    unknown = figures["videos_of_unknown_duration"]
    lines = {
        "videos": f"{figures['videos']:,} ({len(figures['incomplete_videos'])} incomplete), "
        f"{figures['failed_videos']:,} failed"
        + (f" ({figures['accepted_failures']:,} accepted)" if figures["accepted_failures"] else "")
        + (f", {figures['renamed_videos']:,} renamed" if figures["renamed_videos"] else ""),
        "rows": f"{figures['rows']:,}"
        + (
            f" ({spread['min']:,} to {spread['max']:,} a video, median {spread['median']:,.0f})"
            if spread
            else ""
        ),
        "hours": f"{figures['hours']:.2f}"
        + (f" (without {unknown:,} videos of unknown duration)" if unknown else ""),
        "size": f"{figures['bytes'] / 1e6:,.1f} MB in {figures['shards']:,} {figures['format']} shards"
        + (f", {figures['dropped_shards']} records without videos" if figures["dropped_shards"] else ""),
        **(
            {
                "no longer read": f"{figures['dropped_videos']:,} videos; featx store compact gives back "
                f"{figures['dropped_bytes'] / 1e6:,.1f} MB"
            }
            if figures["dropped_videos"]
            else {}
        ),
        "created": figures["created"],
        "model found at": figures["model_source"],
        **figures["fingerprint"],
    }
    width = max(map(len, lines))
    for name, value in lines.items():
        print(fitted(f"{name:{width}}  {printable(value)}", width + 2))


@app.command(rich_help_panel=Commands.LOOK)
def verify(
    store: Store,
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="Also check that the store and its list of failures hold exactly the videos of this "
            "manifest (.jsonl)."
        ),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Drop damaged shards. The next featx extract computes their videos again."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Checks every byte of STORE, and that its numbers can be features. Lists every problem.

    Exit codes: 0 no problem, 4 problems were found (also if --repair has dropped them), 2 the store could not be checked.

    Examples:
        featx store verify features/mine
        featx store verify features/mine --repair
        featx store verify s3://bucket/mine
    """
    from rich.status import Status

    from featx.manifest.videos import read_manifest
    from featx.store.upkeep.verify import verify as look

    ids = list(dict.fromkeys(v.stored_id for v in read_manifest(manifest).videos)) if manifest else None
    changed = "what was repaired stays so; the same command goes on" if repair else f"{store} was not changed"
    with interruptible(f"stopped; {changed}"), Status("", console=stderr_console()) as status:
        report = look(store, ids, repair, lambda done, total: status.update(f"{done} of {total} shards"))
    if as_json:
        content = {key: getattr(report, key) for key in ("shards", "videos", "rows", "dropped")}
        findings = [dataclasses.asdict(finding) for finding in report.findings]
        print(json.dumps({**content, "repaired": repair, "findings": findings}, indent=2))
    else:
        for finding in report.findings:
            some = ", ".join(finding.ids[:5]) + (", … (--json lists all)" if len(finding.ids) > 5 else "")
            about = f"{len(finding.ids)} {finding.problem}: {some}" if finding.ids else finding.problem
            print(printable(f"{finding.path}: {about}" if finding.path else about))
        print(
            f"{store}: {report.videos:,} videos, {report.rows:,} rows in {report.shards:,} shards were looked at"
            + (f", of which {report.dropped:,} videos are no longer read" if report.dropped else "")
        )
    if not report.findings:
        return
    count = f"{len(report.findings)} finding{'s' if len(report.findings) > 1 else ''}"
    if repair:
        dropped = f"{len(report.to_drop)} shards dropped; run featx extract again to fill them"
        if report.lost_records:
            dropped += (
                f". If the {report.lost_records} lost records said that videos were dropped or renamed, those are back: "
                "featx extract compares them with their files, featx store prune finds what is gone"
            )
        raise ProblemsFound(f"{store}: {count}; {dropped}")
    raise ProblemsFound(
        f"{store}: {count}; --repair drops damaged shards, so that featx extract computes them again"
    )


@app.command(rich_help_panel=Commands.COPY)
def merge(
    stores: Annotated[
        list[Path], typer.Argument(help="Feature stores of different videos with the same fingerprint.")
    ],
    to: NewStore,
    format: Annotated[
        Format | None,
        typer.Option(help="File format of the new store: zarr or hdf5 [default: that of the first store]."),
    ] = None,
) -> None:
    """Copies STORES into one new store.

    Examples:
        featx store merge features/a features/b --to features/both
    """
    from featx.store.upkeep.copies import merge as merge_stores

    with interruptible(f"stopped; nothing was made of {to}"):
        count = merge_stores(stores, to, format)
    print(f"{to}: {count:,} videos of {len(stores)} stores")


@app.command(rich_help_panel=Commands.COPY)
def convert(
    store: Store,
    to: NewStore,
    format: Annotated[
        Format | None, typer.Option(help="File format of the new store: zarr or hdf5 [default: unchanged].")
    ] = None,
    dtype: Annotated[
        Dtype | None,
        typer.Option(
            help="Number type of the new store's features: float16 or float32 [default: unchanged]. "
            "Another type is another fingerprint."
        ),
    ] = None,
) -> None:
    """Copies STORE into another format or number type.

    Examples:
        featx store convert features/mine --format hdf5 --to features/mine-hdf5
    """
    from featx.store.upkeep.copies import convert as convert_store

    with interruptible(f"stopped; nothing was made of {to}"):
        count = convert_store(store, to, format, cast(Literal["float16", "float32"] | None, dtype))
    print(f"{to}: {count:,} videos")


@app.command(name="import", rich_help_panel=Commands.COPY)
@with_options(ImportSettings)
def import_(
    folder: Annotated[
        Path, typer.Argument(help="Folder of .npy files (searched recursively), one per video.")
    ],
    to: Annotated[Path, typer.Option("--to", help="Folder of the feature store to create or to add to.")],
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with any of the settings below. Options on the command line take precedence."
        ),
    ] = None,
    **options: Any,
) -> None:
    """Makes a feature store from .npy files of shape (rows, width), such as those that the method's authors published.

    A video's id is its file's path below FOLDER without .npy. Exit codes: 0 success, 2 wrong use, 3 some files could
    not be imported (see failures.jsonl in the store).

    Examples:
        featx store import npy --model ViT-B/16 --sampling "fps 10" --fps 10 --to features/theirs
    """
    settings = gather(ImportSettings, recipe, options, [])
    from featx.store.upkeep.imports import import_folder

    with interruptible(f"stopped; what was read is in {to}; the same command goes on"):
        done = import_folder(folder, to, settings, lambda line: print(f"failed: {printable(line)}"))
    print(
        f"{to}: {done.added:,} videos added"
        + (f" ({done.changed:,} of them had changed)" if done.changed else "")
        + f", {done.failed:,} failed, {done.there_already:,} were there already"
        + (f", {done.accepted:,} accepted as bad" if done.accepted else "")
    )
    if done.gone:
        some = ", ".join(map(printable, done.gone[:3])) + (", …" if len(done.gone) > 3 else "")
        print(
            f"{len(done.gone):,} videos of {to} are gone from {folder} ({some}); featx store prune removes them"
        )
    if done.failed:
        raise PartialFailure(f"{done.failed} files could not be taken; see {done.failures_file}")


@app.command(rich_help_panel=Commands.COPY)
def export(
    store: Store,
    to: Annotated[Path, typer.Option("--to", help="Folder to write. Must not exist.")],
    kind: Annotated[
        ExportFormat,
        typer.Option(
            "--as",
            help="Output form. npy: ID.npy and ID.pts for each video, and a recipe to import them again. "
            "parquet: one table row per feature row. webdataset: tar files of numbered samples. All "
            "of them hold times and frame numbers.",
        ),
    ],
) -> None:
    """Exports STORE to a form that other programs read.

    Examples:
        featx store export features/mine --as npy --to npy
        featx store export features/mine --as parquet --to features.parquet
    """
    from featx.store.reader import FeatureStore
    from featx.store.upkeep.export import export as export_store

    with interruptible(f"stopped; nothing was made of {to}"):
        count = export_store(FeatureStore(store), to, kind)
    print(f"{to}: {count:,} videos")
