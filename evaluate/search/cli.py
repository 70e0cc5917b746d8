"""`featx search`: finds moments, videos and frames of a store by a sentence or a picture."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from featx.completion import one_of
from featx.errors import FeatxError, printable
from featx.help_pages import CommandLine
from featx.output.console import say
from featx.settings import gather, with_options
from featx.signals import interruptible

from .exact.settings import SearchSettings
from .formats import FOR_PROGRAMS, FORMAT_NAMES

app = CommandLine()


@app.command()
@with_options(SearchSettings)
def search(  # a command: its parameters are its arguments and options
    store: Annotated[Path, typer.Argument(help="Feature store, made by featx extract.")],
    query: Annotated[
        str | None, typer.Argument(help="Text to search for, such as 'a person opens a door'.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(help="Text file of queries, one per line. All are answered in one pass.")
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option(help="Picture to search for. May be given several times.")
    ] = None,
    contact_sheet: Annotated[
        Path | None, typer.Option(help="Write frames of all results to this .html or .png file.")
    ] = None,
    cut: Annotated[
        Path | None,
        typer.Option(
            help="Write each result as a video file of its own into this folder, exact to the frame."
        ),
    ] = None,
    copy: Annotated[
        bool,
        typer.Option(
            "--copy", help="With --cut: copy without encoding. Faster; a clip begins at the key frame before."
        ),
    ] = False,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="Output format: table, markdown, latex, csv, json, html, srt (subtitles of one video) or edl (edit "
            "list).",
            autocompletion=one_of(FORMAT_NAMES),
        ),
    ] = "table",
    stats: Annotated[
        bool, typer.Option("--stats", help="Print on standard error how fast the store was read.")
    ] = False,
    **options: Any,
) -> None:
    """Searches STORE for QUERY and prints moments (with start and end), whole videos or frames, the best first.

    Scores are cosines. The search is exact unless --index is given. Exit codes: 0 success, 2 wrong use, 130 interrupted.

    Examples:
        featx search features/mine "a person opens a door"
        featx search features/mine "a person opens a door" --contact-sheet doors.html
        featx search features/mine --image door.jpg --level frames
        featx search features/mine "a person opens a door" --min-score 0.2 --cut doors
    """
    settings = gather(SearchSettings, None, options, [])
    from featx.store.schema import STORE_FILE

    from .clips import check_clips_folder, cut_clips
    from .command import run_search
    from .contact_sheet import check_sheet
    from .output import check_search_format, render_answers
    from .queries import gather_queries

    check_search_format(format)
    check_clips_folder(cut, copy)
    if stats and settings.index is not None:
        raise FeatxError(
            "--stats: says how fast the store was read, and an index does not read it; give one of them"
        )
    if contact_sheet is not None:
        check_sheet(contact_sheet)
    with contextlib.suppress(OSError):  # a sentence may be longer than a path can be
        is_swapped = bool(query) and (Path(query or "") / STORE_FILE).is_file()
        if is_swapped and not (store / STORE_FILE).is_file():
            swapped = f"{shlex.quote(query or '')} {shlex.quote(str(store))}"
            raise FeatxError(f"STORE comes first: featx search {swapped}")
    looked_for = gather_queries(query, queries, image or [])
    with interruptible("stopped; nothing was written"):
        result = run_search(store, looked_for, settings, contact_sheet)
    notes = result.notes
    if cut is not None:
        with interruptible(f"stopped; clips in {cut} are whole, some are missing"):
            notes = [*notes, *cut_clips(store, result.answers, result.places, cut, copy)]
    print(render_answers(result.answers, notes, format, result.title, result.places, settings.edl_fps))
    if format in FOR_PROGRAMS:  # a program reads the answer; people still have to see what was left out
        for note in notes:
            say(printable(note))
    if stats:
        say(result.speed.describe())
