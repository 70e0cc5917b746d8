"""From retrieval results to the rows of `featx eval`'s table."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten

from featx.metrics.retrieval import RECALLED
from featx.scoring.results import Results

from .rows import method_of, notes_of, percent, summary_of
from .table import Cell, Table

DIRECTIONS = ("t2v", "v2t")  # text to video: a caption is the query; video to text
SHOWN_LETTERS = 60


def scores_of(results: Results) -> str:
    """Returns how captions and videos were compared, in words."""
    return results.variant.replace("-", " ") or "plain"


def captions_of(results: Results) -> str:
    """Returns how many captions were asked of how many."""
    asked = results.retrieval
    return f"{asked.captions}/{asked.captions + asked.missing_captions}" if asked else ""


def retrieval_table(all_results: list[Results]) -> Table:
    """Returns one row for each run and way of scoring; what was missing and what repeats stands in the notes."""
    columns = ["run", "learned", "scores"]
    metrics = []
    for direction in DIRECTIONS:
        columns += [*(f"{direction} R@{k} %" for k in RECALLED), f"{direction} MdR", f"{direction} MnR"]
        metrics += [*(f"{direction}_r{k}" for k in RECALLED)]
        metrics += [f"{direction}_median_rank", f"{direction}_mean_rank"]
    columns += ["parameters", "captions", "videos"]
    rows: list[list[Cell]] = [
        [
            Path(one.run).name,
            method_of(one),
            scores_of(one),
            *(percent(one, metric) for metric in metrics),
            one.learned_parameters,
            captions_of(one),
            f"{one.videos.scored}/{one.asked}",
        ]
        for one in all_results
    ]
    about = dict.fromkeys(f"{one.data_set}, split {one.split}" for one in all_results)
    notes = [*dict.fromkeys([*notes_of(all_results), *retrieval_notes(all_results)]), summary_of(all_results)]
    title = f"Retrieval: {'; '.join(about)}; t2v text to video, v2t video to text, MdR and MnR median and mean rank"
    return Table(title, columns, rows, notes)


def retrieval_notes(all_results: list[Results]) -> list[str]:
    """Returns what a reader of ranks must know: repeated sentences, ties, and scores that saw the whole test."""
    notes = []
    for one in all_results:
        asked = one.retrieval
        if asked is None:
            continue
        if asked.repeated:
            surplus = sum(asked.repeated.values()) - len(asked.repeated)
            first = shorten(next(iter(asked.repeated)), SHOWN_LETTERS, placeholder="…")
            notes.append(
                f"{one.data_set} {one.split}: {len(asked.repeated)} sentences repeat ({surplus} surplus captions), "
                f"'{first}' first; each caption is a query of its own"
            )
        if asked.ties != "average":
            notes.append(f"{one.run}: ties {asked.ties}")
        if one.variant == "dual-softmax":
            notes.append("dual softmax: each score depends on all captions and videos of the test")
        if one.variant == "query-bank":
            notes.append(
                f"query bank: each score depends on captions and videos of split {asked.bank_split} too"
            )
    return notes
