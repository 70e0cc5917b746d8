"""The benchmark tables: our results in the rows of the paper's tables, the paper's numbers beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from featx.errors import FeatxError, nearest
from featx.evaluate.paper_rows import paper_settings, row_of, same_settings
from featx.evaluate.retrieval_rows import captions_of, retrieval_notes, scores_of
from featx.evaluate.rows import GENERALISED, method_of, notes_of, percent, scored_of, summary_of
from featx.evaluate.tables import Cell, PlusMinus, Table
from featx.paper.tables import PaperRow, PaperTable, read_paper_table
from featx.results import ALL_WAYS, Results

METRICS = {"top1": "top-1", "top5": "top-5", "avg": "avg"} | {
    "t2v_r1": "R@1",
    "t2v_r5": "R@5",
    "t2v_r10": "R@10",
    "t2v_median_rank": "MdR",
}


def _is_cross(results: Results) -> bool:
    learned = results.trained_on
    return learned is not None and learned.data_set not in (None, results.data_set)


def _is_closed(results: Results) -> bool:
    return results.task == "recognition" and not (
        results.few_shot or results.class_split or _is_cross(results)
    )


def _is_open(results: Results) -> bool:
    if results.task != "recognition" or results.few_shot:
        return False
    return bool(results.class_split) or _is_cross(results)


@dataclass(frozen=True)
class Kind:
    """One of the tables.

    Attributes:
        title: What stands above it.
        belongs: Which results stand in it.
        metrics: Those that the paper reports there.
        how: The options of the command that makes such results.
    """

    title: str
    belongs: Callable[[Results], bool]
    metrics: tuple[str, ...]
    how: str


KINDS = {
    "closed-set": Kind("Closed-set recognition", _is_closed, ("top1", "top5", "avg"), "featx eval {run}"),
    "ablation": Kind(
        "Closed-set recognition, ablation", _is_closed, ("top1", "top5", "avg"), "featx eval {run}"
    ),
    "few-shot": Kind(
        "Few-shot recognition",
        lambda results: results.few_shot is not None,
        ("top1",),
        "featx train --episodes FILE --to {run}, or featx baseline METHOD --episodes FILE --to {run}",
    ),
    "open-set": Kind("Open-set recognition", _is_open, ("top1", "top5"), "featx eval {run} --classes unseen"),
    "retrieval": Kind(
        "Text-to-video retrieval",
        lambda results: results.task == "retrieval",
        ("t2v_r1", "t2v_r5", "t2v_r10", "t2v_median_rank"),
        "featx eval {run}",
    ),
}


def check_kind(kind: str) -> str:
    """Returns the kind, if it is one.

    Raises:
        FeatxError: Naming the kinds.
    """
    if kind not in KINDS:
        raise FeatxError(f"{kind}: must be one of {', '.join(KINDS)}{nearest(kind, KINDS)}")
    return kind


def choose_results(kind: str, run: str, found: list[Results], split: str | None) -> list[Results]:
    """Returns those of a run's results that belong into a table.

    Raises:
        FeatxError: If there is none, naming the command that makes them.
    """
    chosen = [one for one in found if KINDS[kind].belongs(one) and split in (None, one.split)]
    if not chosen:
        of_split = f" of split '{split}'" if split else ""
        command = KINDS[kind].how.format(run=run) + (
            f" --split {split}" if split and "eval" in KINDS[kind].how else ""
        )
        raise FeatxError(f"{run}: has no {kind} results{of_split}; make them with: {command}")
    return chosen


def benchmark_table(kind: str, all_results: list[Results]) -> Table:
    """Returns a table: the paper's rows for the data sets that were scored, then what the paper does not have.

    A cell that is not known is empty, and so are the paper's numbers beside results about anything else.
    """
    paper = read_paper_table(kind)
    rows: list[list[Cell]] = []
    left = list(all_results)
    for row in _paper_rows(paper, all_results):
        ours = [one for one in left if row_of(one, paper) is row]
        left = [one for one in left if not any(one is known for known in ours)]
        rows += [_row(kind, one, row) for one in ours] or [_row(kind, None, row)]
    rows += [_row(kind, one, row_of(one, paper)) for one in left]
    notes = list(dict.fromkeys([*notes_of(all_results), *retrieval_notes(all_results)]))
    if any(same_settings(one) for one in all_results):
        notes.append(f"paper: {paper.source}. {paper.protocol}")
    else:
        notes.append("no number of the paper is about these data sets and settings")
    columns = _columns(kind)
    empty = _may_be_left_out(all_results)
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


def _may_be_left_out(all_results: list[Results]) -> set[str]:
    """Returns the columns that would tell a reader nothing if they were empty."""
    empty = set(GENERALISED.values())
    if not any(one.data_set in paper_settings().split for one in all_results):
        for name in METRICS.values():
            empty |= {f"paper {name}", f"{name} difference"}
    return empty


def _columns(kind: str) -> list[str]:
    columns = ["data set", "run", "learned"]
    more = {
        "few-shot": ["ways", "shots", "episodes"],
        "open-set": ["learned on", "tested on"],
        "retrieval": ["scores", "captions"],
    }
    columns += more.get(kind, [])
    for metric in KINDS[kind].metrics:
        name = METRICS[metric]
        columns += [name if metric.endswith("_rank") else f"{name} %", f"paper {name}", f"{name} difference"]
    if kind == "open-set":
        columns += GENERALISED.values()
    return [*columns, "scored", "date", "features"]


def _row(kind: str, ours: Results | None, paper: PaperRow | None) -> list[Cell]:
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
    if kind == "few-shot":
        cells += _few_shot_cells(ours, paper)
    if kind == "open-set":
        cells += _open_set_cells(ours)
    if kind == "retrieval":
        cells += [scores_of(ours), captions_of(ours)] if ours else ["plain", None]
    for metric in KINDS[kind].metrics:
        mine = _ours(ours, metric)
        theirs = _theirs(paper, metric)
        mean = mine.mean if isinstance(mine, PlusMinus) else mine
        difference = f"{mean - theirs:+.1f}" if isinstance(mean, float) and theirs is not None else None
        cells += [mine, theirs, difference]
    if kind == "open-set":
        cells += [percent(ours, name) if ours else None for name in GENERALISED]
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


def _few_shot_cells(ours: Results | None, paper: PaperRow | None) -> list[Cell]:
    if ours is not None and ours.few_shot is not None:
        ways, shots, episodes = ours.few_shot.ways, ours.few_shot.shots, len(ours.items)
    elif paper is not None:
        ways, shots, episodes = paper.ways, paper.shots, None
    else:
        return [None, None, None]
    return ["all" if ways == ALL_WAYS else ways, shots, episodes]


def _open_set_cells(ours: Results | None) -> list[Cell]:
    if ours is None:
        return [None, None]
    learned = ours.trained_on
    group = {"all": "seen and unseen"}.get(ours.class_set, ours.class_set) if ours.class_split else "all"
    learned_on = (
        f"{learned.data_set or learned.manifest}, {len(learned.classes)} classes" if learned else None
    )
    return [learned_on, f"{ours.classes} {group} classes"]


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
