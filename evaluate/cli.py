"""`featx eval`: scores runs on a split and prints them as the rows of one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.errors import FeatxError, Interrupted
from featx.evaluate.settings import EvalSettings
from featx.settings import gather, with_options

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@with_options(EvalSettings)
def evaluate(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders that featx train or featx baseline made; one row each.")
    ],
    format: Annotated[
        str, typer.Option(help="How the table is printed: table, markdown, latex, csv, json, html.")
    ] = "table",
    save_predictions: Annotated[
        Path | None,
        typer.Option(help="Write id, label and scores of each video into this .parquet file (one RUN only)."),
    ] = None,
    **options: Any,
) -> None:
    """Scores RUNS on a split: top-1, top-5 and mean class accuracy; with --classes on seen or unseen classes.

    Runs of task=retrieval: recall and ranks from text to video and from video to text.

    The results are also written into each run's folder as results-DATASET-SPLIT.json.
    """
    settings = gather(EvalSettings, None, options, [])
    from featx.evaluate.predictions import check_parquet, write_predictions
    from featx.evaluate.recognition import evaluate as evaluate_recognition
    from featx.evaluate.retrieval import evaluate_retrieval
    from featx.evaluate.retrieval_rows import retrieval_table
    from featx.evaluate.rows import recognition_table
    from featx.evaluate.runs import one_task
    from featx.evaluate.tables import check_format, render
    from featx.results import write_results

    check_format(format)
    if save_predictions is not None:
        check_parquet(save_predictions, len(runs))
    retrieval = one_task(runs) == "retrieval"
    if retrieval and save_predictions is not None:
        raise FeatxError("--save-predictions: is about classes; leave it out for retrieval")
    all_results = []
    try:
        for run in runs:
            if retrieval:
                for results in evaluate_retrieval(run, settings):
                    write_results(results, run)
                    all_results.append(results)
                continue
            scored = evaluate_recognition(run, settings)
            write_results(scored.results, run)
            if save_predictions is not None:
                write_predictions(scored, save_predictions)
            all_results.append(scored.results)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped after {len(all_results)} of {len(runs)} runs") from None
    table = retrieval_table if retrieval else recognition_table
    print(render(table(all_results), format))
