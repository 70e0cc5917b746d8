"""`featx manifest msrvtt`, `lsmdc`, `didemo`, `smit` and `captions`: videos with sentences about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.completion import one_of
from featx.help_pages import CommandLine

from .building.entries import Annotations
from .cli_options import AnnotationsFolder, Commands, Name, Seed, TestFraction, To, manifest_command

app = CommandLine()

Table = Annotated[
    Path, typer.Argument(help="CSV file whose first line names the columns, or a JSON Lines file (.jsonl).")
]
PathColumn = Annotated[
    str, typer.Option(help="Name of the column with the file name or path, with or without ending.")
]
CaptionsColumn = Annotated[
    str,
    typer.Option(
        help="Name of the column with a sentence. In JSON Lines it may also hold a list of sentences."
    ),
]
IdColumn = Annotated[
    str,
    typer.Option(
        help="Name of the column with the id. Rows with the same id are one video. The column is optional."
    ),
]
SplitColumn = Annotated[
    str,
    typer.Option(
        help="Name of the column with the split. Without such a column a test split is drawn at random."
    ),
]
StartColumn = Annotated[
    str, typer.Option(help="Name of the column with the start of a clip in seconds. The column is optional.")
]
EndColumn = Annotated[
    str, typer.Option(help="Name of the column with the end of a clip in seconds. The column is optional.")
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        help="Character between columns of a CSV file. By default a tab in .tsv files, else a comma."
    ),
]


@app.command(rich_help_panel=Commands.DATA_SETS)
@manifest_command(has_classes=False)
def msrvtt(
    annotations: AnnotationsFolder,
    protocol: Annotated[
        str,
        typer.Option(
            help="9k or 7k: the 1k-A test with about 9,000 or 7,000 training videos. full: the official "
            "split.",
            autocompletion=one_of(("9k", "7k", "full")),
        ),
    ] = "9k",
) -> Annotations:
    """MSR-VTT (retrieval), from MSRVTT_data.json, MSRVTT_train.9k.csv or .7k.csv, and MSRVTT_JSFUSION_test.csv.

    Examples:
        featx manifest msrvtt --annotations msrvtt --videos MSRVTT_Videos --to msrvtt.jsonl
    """
    from .official.msrvtt import read_msrvtt

    return read_msrvtt(annotations, protocol)


@app.command(rich_help_panel=Commands.DATA_SETS)
@manifest_command(has_classes=False)
def lsmdc(annotations: AnnotationsFolder) -> Annotations:
    """LSMDC (retrieval), from LSMDC16_annos_training.csv, …_val.csv and LSMDC16_challenge_1000_publictect.csv.

    Examples:
        featx manifest lsmdc --annotations lsmdc --videos LSMDC --to lsmdc.jsonl
    """
    from .official.lsmdc import read_lsmdc

    return read_lsmdc(annotations)


@app.command(rich_help_panel=Commands.DATA_SETS)
@manifest_command(has_classes=False)
def didemo(
    annotations: AnnotationsFolder,
    drop_repeated_stems: Annotated[
        bool,
        typer.Option(
            "--drop-repeated-stems",
            help="Leave out videos that are listed under two file endings. By default both entries are "
            "one video.",
        ),
    ] = False,
) -> Annotations:
    """DiDeMo (retrieval of the paragraph about the first 30 s), from train_data.json, val_data.json, test_data.json.

    Examples:
        featx manifest didemo --annotations didemo --videos DiDeMo --to didemo.jsonl
    """
    from .official.didemo import read_didemo

    return read_didemo(annotations, drop_repeated_stems)


@app.command(rich_help_panel=Commands.OWN)
@manifest_command(has_classes=False)
def captions(
    table: Table,
    to: To,
    path_column: PathColumn = "path",
    captions_column: CaptionsColumn = "captions",
    id_column: IdColumn = "id",
    split_column: SplitColumn = "split",
    start_column: StartColumn = "start",
    end_column: EndColumn = "end",
    delimiter: Delimiter = None,
    name: Name = None,
    test_fraction: TestFraction = 0.2,
    seed: Seed = 0,
) -> Annotations:
    """Your own captioned videos (retrieval), or clips of longer ones, in a table with one row per sentence.

    Examples:
        featx manifest captions captions.csv --videos videos --to captions.jsonl
    """
    from .building.draw import SplitDraw
    from .own.captions_table import Columns, read_captions

    columns = Columns(path_column, captions_column, id_column, split_column, start_column, end_column)
    return read_captions(
        table, name or to.stem, columns, _between(table, delimiter), SplitDraw(test_fraction, seed)
    )


@app.command(rich_help_panel=Commands.DATA_SETS)
@manifest_command(has_classes=False)
def smit(
    table: Table,
    path_column: PathColumn = "path",
    captions_column: CaptionsColumn = "captions",
    id_column: IdColumn = "id",
    split_column: SplitColumn = "split",
    delimiter: Delimiter = None,
) -> Annotations:
    """S-MiT (retrieval), from a table of its captions, which its authors give on request.

    Examples:
        featx manifest smit smit.csv --videos smit --to smit.jsonl
    """
    from .building.draw import SplitDraw
    from .own.captions_table import Columns, read_captions

    columns = Columns(path_column, captions_column, id_column, split_column)
    return read_captions(table, "smit", columns, _between(table, delimiter), SplitDraw())


def _between(table: Path, delimiter: str | None) -> str:
    """Returns what separates the columns of a table."""
    return delimiter or ("\t" if table.suffix == ".tsv" else ",")
