"""Where a run goes wrong: per class, by pairs of classes, by the number of clips, and what its prompts resemble."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from featx.errors import FeatxError
from featx.features.dataset import load_model_of
from featx.files.atomic import write_atomically
from featx.metrics.recognition import confusion_matrix, ranks, recognition_metrics
from featx.scoring.results import write_results

from ..recognition.runs import ScoredVideos, evaluate
from ..report.confusion_picture import confusion_picture
from ..report.rows import about
from ..report.table import Cell, Table, render
from ..run.runs import AdapterRun
from ..run.settings import EvalSettings
from .prompt_words import PromptWords, nearest_words, usual_length

CLIP_COUNTS = (1, 2, 3, 5, 10, 20)
WORDS = 5
SHOWN = 10


def diagnose(run: Path, settings: EvalSettings, to: Path | None) -> tuple[list[Table], Path]:
    """Scores a run and writes what is behind its accuracy, as CSV files and a picture.

    Args:
        run: Its folder.
        settings: On what it is scored.
        to: Folder for the files; in the run's folder if None.

    Returns:
        What is worth reading at once, and the folder.

    Raises:
        FeatxError: As `featx.evaluate.recognition.runs.evaluate`.
    """
    scored = evaluate(run, settings)
    write_results(scored.results, run)
    folder = to or run / f"diagnosis-{scored.results.stem}"
    counts = confusion_matrix(
        scored.scores.argmax(axis=1), scored.videos.labels, len(scored.setup.manifest.labels)
    )
    tables = {
        "per-class": per_class(scored, counts),
        "confused": confused(scored, counts),
        "clips": clip_counts(scored),
        "prompt-words": prompt_words(scored),
    }
    labels = scored.setup.manifest.labels
    matrix = Table(
        "",
        ["true class", *labels],
        [[label, *map(int, row)] for label, row in zip(labels, counts, strict=True)],
        [],
    )
    try:
        for name, table in [*tables.items(), ("confusion", matrix)]:
            if table is not None:
                write_atomically(folder / f"{name}.csv", (render(table, "csv") + "\n").encode())
        title = f"{run.name}: {about(scored.results)}"
        write_atomically(folder / "confusion.png", confusion_picture(counts, labels, title))
    except OSError as error:
        raise FeatxError(f"{folder}: cannot write there ({error.strerror})") from error
    return [table for table in tables.values() if table is not None], folder


def per_class(scored: ScoredVideos, counts: np.ndarray) -> Table:
    """Returns each class's accuracy, the worst first."""
    labels = scored.setup.manifest.labels
    rank = ranks(scored.scores, scored.videos.labels)  # (V,)
    rows: list[list[Cell]] = []
    for index, label in enumerate(labels):
        own = rank[scored.videos.labels == index]
        others = np.where(np.arange(len(labels)) == index, 0, counts[index])
        often = labels[int(others.argmax())] if others.any() else None
        top1, top5 = (100 * float((own < k).mean()) if len(own) else None for k in (1, 5))
        rows.append([label, len(own), top1, top5, often])
    rows.sort(key=lambda row: (row[2] is None, row[2]))
    columns = ["class", "videos", "top-1 %", "top-5 %", "most often taken for"]
    return Table("Classes, the worst first", columns, rows, [])


def confused(scored: ScoredVideos, counts: np.ndarray) -> Table:
    """Returns the pairs of classes that are mixed up, in either direction, the most frequent first."""
    labels = scored.setup.manifest.labels
    both = np.triu(counts + counts.T, k=1)
    pairs = sorted(np.argwhere(both).tolist(), key=lambda pair: -both[pair[0], pair[1]])
    totals = counts.sum(axis=1)
    rows: list[list[Cell]] = [
        [
            labels[one],
            labels[other],
            int(counts[one, other]),
            int(counts[other, one]),
            100 * float(both[one, other] / (totals[one] + totals[other])),
        ]
        for one, other in pairs
    ]
    columns = ["class A", "class B", "A taken for B", "B taken for A", "% of both"]
    return Table("Most confused pairs", columns, rows, [])


def clip_counts(scored: ScoredVideos) -> Table | None:
    """Returns accuracy as a function of the number of clips; None for a run that does not look at clips."""
    setup = scored.setup
    if not setup.run.uses_clips:
        return None
    rows: list[list[Cell]] = []
    for clips in sorted({*CLIP_COUNTS, scored.settings.clips}):
        settings = scored.settings.model_copy(update={"clips": clips})
        scores = setup.run.score(setup.store, setup.manifest.header.classes, scored.videos, settings)
        rows.append(
            [clips, *(100 * value for value in recognition_metrics(scores, scored.videos.labels).values())]
        )
    return Table("Clips a video", ["clips", "top-1 %", "top-5 %", "mean class %"], rows, [])


def prompt_words(scored: ScoredVideos) -> Table | None:
    """Returns the nearest words of each learned prompt vector; None without prompts."""
    run = scored.setup.run
    if not isinstance(run, AdapterRun) or run.adapter.prompt_table is None:
        return None
    encoder = load_model_of(scored.setup.store, scored.settings.model).text
    found = nearest_words(run.header.config, run.adapter.prompt_table.detach().cpu(), encoder, WORDS)
    note = f"nearest by cosine; a word of CLIP's vocabulary has a length of about {usual_length(encoder):.2f}"
    return Table(
        "Words nearest to each prompt vector",
        ["prompt", "length", "nearest words"],
        [_words_row(one) for one in found],
        [note],
    )


def shortened(table: Table) -> Table:
    """Returns the first rows of a long table, saying how many there are."""
    if len(table.rows) <= SHOWN or table.columns[0] == "prompt":
        return table
    return Table(
        f"{table.title} ({SHOWN} of {len(table.rows)})", table.columns, table.rows[:SHOWN], table.notes
    )


def _words_row(one: PromptWords) -> list[Cell]:
    return [one.name, f"{one.length:.3f}", ", ".join(f"{word} {cosine:.2f}" for word, cosine in one.words)]
