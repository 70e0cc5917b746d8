"""The benchmark tables: our results in the rows of the paper's tables, the paper's numbers beside them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from featx.errors import FeatxError
from featx.localisation.detection_scores import AVERAGE, metric_name
from featx.scoring.results import Results

from ..report.kinds import KINDS, TableKind
from ..report.localisation_rows import protocol_notes
from ..report.paper.read import PaperRow, PaperTable, read_paper_table
from ..report.retrieval_rows import retrieval_notes
from ..report.rows import GENERALISED, method_of, notes_of, percent, scored_of, summary_of
from ..report.table import Cell, PlusMinus, Table
from .paper_rows import paper_settings, row_of, same_settings

METRICS = {"top1": "top-1", "top5": "top-5", "avg": "avg", AVERAGE: "mAP avg"} | {
    "t2v_r1": "R@1",
    "t2v_r5": "R@5",
    "t2v_r10": "R@10",
    "t2v_median_rank": "MdR",
}
MOST_OVERLAPS = 5
USUAL_OVERLAPS = (0.5, 0.75, 0.95)  # of more, those that ActivityNet's results are reported at


class NoneOfKind(FeatxError):
    """A run has results, but none of the kind that is asked for."""


def choose_results(kind: str, run: str, found: list[Results], split: str | None) -> list[Results]:
    """Returns those of a run's results that belong into a table.

    Raises:
        NoneOfKind: If there is none, naming the command that makes them.
    """
    chosen = [one for one in found if KINDS[kind].belongs(one) and split in (None, one.split)]
    if not chosen:
        of_split = f" of split '{split}'" if split else ""
        command = KINDS[kind].how.format(run=run) + (
            f" --split {split}" if split and "eval" in KINDS[kind].how else ""
        )
        raise NoneOfKind(f"{run}: has no {kind} results{of_split}; make them with: {command}")
    return chosen


def benchmark_table(kind: str, all_results: list[Results]) -> Table:
    """Returns a table: the paper's rows for the data sets that were scored, then what the paper does not have.

    A cell that is not known is empty, and so are the paper's numbers beside results about anything else.
    """
    paper, of_kind = read_paper_table(kind), KINDS[kind]
    metrics = of_kind.metrics or map_metrics(all_results)
    rows: list[list[Cell]] = []
    left = list(all_results)
    for row in _paper_rows(paper, all_results):
        ours = [one for one in left if row_of(one, paper) is row]
        left = [one for one in left if not any(one is known for known in ours)]
        rows += [_row(of_kind, metrics, one, row) for one in ours] or [_row(of_kind, metrics, None, row)]
    rows += [_row(of_kind, metrics, one, row_of(one, paper)) for one in left]
    notes = [*notes_of(all_results), *retrieval_notes(all_results)]
    notes += protocol_notes([one for one in all_results if one.localisation])
    notes = list(dict.fromkeys(notes))
    if any(same_settings(one) for one in all_results):
        notes.append(f"paper: {paper.source}. {paper.protocol}")
    else:
        notes.append("no number of the paper is about these data sets and settings")
    columns = _columns(of_kind, metrics)
    empty = _may_be_left_out(metrics, all_results)
    kept = [
        index
        for index, column in enumerate(columns)
        if column not in empty or any(row[index] is not None for row in rows)
    ]
    return Table(
        KINDS[kind].title,
        [columns[index] for index in kept],
        [[row[index] for index in kept] for row in rows],
        [*notes, summary_of(all_results)],
    )


def _paper_rows(paper: PaperTable, all_results: list[Results]) -> list[PaperRow]:
    """Returns the paper's rows for data sets that we have comparable results on."""
    scored = {one.data_set for one in all_results if same_settings(one)}
    return [row for row in paper.rows if row.data_set in scored]


def map_metrics(all_results: list[Results]) -> tuple[str, ...]:
    """Returns mAP at the overlaps that results are about (of many, the usual ones) and its average."""
    overlaps = sorted(
        {one for results in all_results if results.localisation for one in results.localisation.tiou}
    )
    if len(overlaps) > MOST_OVERLAPS:
        overlaps = [one for one in overlaps if round(one, 6) in USUAL_OVERLAPS] or overlaps
    return (*map(metric_name, overlaps), AVERAGE)


def _header(metric: str) -> str:
    return METRICS.get(metric) or metric.replace("map@", "mAP@")


def _may_be_left_out(metrics: tuple[str, ...], all_results: list[Results]) -> set[str]:
    """Returns the columns that would tell a reader nothing if they were empty."""
    empty = set(GENERALISED.values())
    if not any(one.data_set in paper_settings().split for one in all_results):
        for metric in metrics:
            empty |= {f"paper {_header(metric)}", f"{_header(metric)} difference"}
    return empty


def _columns(kind: TableKind, metrics: tuple[str, ...]) -> list[str]:
    columns = ["data set", "run", "learned", *kind.columns]
    for metric in metrics:
        name = _header(metric)
        columns += [name if metric.endswith("_rank") else f"{name} %", f"paper {name}", f"{name} difference"]
    return [*columns, *kind.alone.values(), "scored", "date", "features"]


def _row(
    kind: TableKind, metrics: tuple[str, ...], ours: Results | None, paper: PaperRow | None
) -> list[Cell]:
    cells: list[Cell]
    if ours is not None:
        cells = [
            f"{ours.data_set} {ours.split}" if not ours.few_shot else ours.data_set,
            _run_of(ours),
            method_of(ours),
        ]
    else:
        assert paper is not None
        cells = [paper.data_set, None, _learned_in_paper(paper)]
    cells += kind.cells(ours, paper)
    for metric in metrics:
        mine = _ours(ours, metric)
        theirs = _theirs(paper, metric)
        mean = mine.mean if isinstance(mine, PlusMinus) else mine
        difference = f"{mean - theirs:+.1f}" if isinstance(mean, float) and theirs is not None else None
        cells += [mine, theirs, difference]
    cells += [percent(ours, name) if ours else None for name in kind.alone]
    if ours is None:
        return [*cells, None, None, None]
    return [*cells, scored_of(ours), ours.date[:10], features_of(ours)]


def features_of(results: Results) -> str:
    """Returns which features were scored: CLIP's name, and eight digits that stand for the whole fingerprint."""
    content = json.dumps(results.fingerprint, sort_keys=True).encode()
    return f"{results.fingerprint.get('model')} {hashlib.sha256(content).hexdigest()[:8]}"


def _run_of(results: Results) -> str:
    name = Path(results.run).name
    return f"{name} {results.variant}" if results.variant and not results.retrieval else name


def _learned_in_paper(row: PaperRow) -> str:
    if row.method != "adapter":
        return row.method
    prompts = f"prompts {row.prompts}+X+{row.prompts}" if row.prompts else "prompts"
    if row.layers == 0:
        return prompts
    if row.layers is None:
        return f"{prompts}, Transformer"
    return f"{prompts}, Transformer {row.layers} layer{'s' if row.layers > 1 else ''}"


def _ours(ours: Results | None, metric: str) -> Cell:
    if ours is None:
        return None
    if metric != "avg":
        return percent(ours, metric)
    top1, top5 = (ours.metrics.get(name) for name in ("top1", "top5"))
    return None if top1 is None or top5 is None else 50 * (top1 + top5)


def _theirs(paper: PaperRow | None, metric: str) -> float | None:
    if paper is None:
        return None
    if metric == "avg" and {"top1", "top5"} <= paper.metrics.keys():
        return (paper.metrics["top1"] + paper.metrics["top5"]) / 2
    return paper.metrics.get(metric)
