"""The kinds of benchmark tables: which results stand in each, with which columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from featx.errors import FeatxError, nearest
from featx.scoring.results import ALL_WAYS, Results

from .localisation_rows import ALONE
from .paper.read import PaperRow
from .retrieval_rows import captions_of, scores_of
from .rows import GENERALISED
from .table import Cell


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


def _few_shot_cells(ours: Results | None, paper: PaperRow | None) -> list[Cell]:
    if ours is not None and ours.few_shot is not None:
        ways, shots, episodes = ours.few_shot.ways, ours.few_shot.shots, len(ours.items)
    elif paper is not None:
        ways, shots, episodes = paper.ways, paper.shots, None
    else:
        return [None, None, None]
    return ["all" if ways == ALL_WAYS else ways, shots, episodes]


def _open_set_cells(ours: Results | None, paper: PaperRow | None) -> list[Cell]:
    if ours is None:
        return [f"{paper.seen} classes" if paper and paper.seen else None, None]
    learned = ours.trained_on
    group = {"all": "seen and unseen"}.get(ours.class_set, ours.class_set) if ours.class_split else "all"
    learned_on = (
        f"{learned.data_set or learned.manifest}, {len(learned.classes)} classes" if learned else None
    )
    return [learned_on, f"{ours.classes} {group} classes"]


def _retrieval_cells(ours: Results | None, paper: PaperRow | None) -> list[Cell]:
    return [scores_of(ours), captions_of(ours)] if ours else ["plain", None]


def _proposals_cells(ours: Results | None, paper: PaperRow | None) -> list[Cell]:
    return [Path(ours.localisation.proposals).name if ours and ours.localisation else None]


def _localisation_open_cells(ours: Results | None, paper: PaperRow | None) -> list[Cell]:
    splits = max(len(ours.items), 1) if ours else None
    return [*_open_set_cells(ours, paper), splits, *_proposals_cells(ours, paper)]


def _no_cells(ours: Results | None, paper: PaperRow | None) -> list[Cell]:
    return []


@dataclass(frozen=True)
class TableKind:
    """One of the tables.

    Attributes:
        title: What stands above it.
        belongs: Which results stand in it.
        metrics: Those that the paper reports there; none for mAP at the overlaps that results are about.
        how: The options of the command that makes such results.
        columns: Names of the columns between what was learned and the metrics.
        cells: What stands there, of a result of ours and of a row of the paper.
        alone: Further metrics, which the paper does not have.
    """

    title: str
    belongs: Callable[[Results], bool]
    metrics: tuple[str, ...]
    how: str
    columns: tuple[str, ...] = ()
    cells: Callable[[Results | None, PaperRow | None], list[Cell]] = _no_cells
    alone: dict[str, str] = field(default_factory=dict)


KINDS = {
    "closed-set": TableKind(
        "Closed-set recognition", _is_closed, ("top1", "top5", "avg"), "featx eval {run}"
    ),
    "ablation": TableKind(
        "Closed-set recognition, ablation", _is_closed, ("top1", "top5", "avg"), "featx eval {run}"
    ),
    "few-shot": TableKind(
        "Few-shot recognition",
        lambda results: results.few_shot is not None,
        ("top1",),
        "featx train --episodes FILE --to {run}, or featx baseline METHOD --episodes FILE --to {run}",
        ("ways", "shots", "episodes"),
        _few_shot_cells,
    ),
    "open-set": TableKind(
        "Open-set recognition",
        _is_open,
        ("top1", "top5"),
        "featx eval {run} --classes unseen",
        ("learned on", "tested on"),
        _open_set_cells,
        GENERALISED,
    ),
    "localisation-closed": TableKind(
        "Closed-set localisation",
        lambda results: results.localisation is not None and not results.class_split,
        (),
        "featx eval {run} --proposals FILE",
        ("proposals",),
        _proposals_cells,
        ALONE,
    ),
    "localisation-open": TableKind(
        "Open-set localisation",
        lambda results: results.localisation is not None and bool(results.class_split),
        (),
        "featx eval {run} --proposals FILE --classes unseen, or featx sweep --class-splits FILE --to {run}",
        ("learned on", "tested on", "splits", "proposals"),
        _localisation_open_cells,
        ALONE,
    ),
    "retrieval": TableKind(
        "Text-to-video retrieval",
        lambda results: results.task == "retrieval",
        ("t2v_r1", "t2v_r5", "t2v_r10", "t2v_median_rank"),
        "featx eval {run}",
        ("scores", "captions"),
        _retrieval_cells,
    ),
}


def kind_of(results: Results) -> str:
    """Returns a kind of table that a run over episodes, or a cell of a sweep, stands in."""
    return next(name for name, kind in KINDS.items() if name != "closed-set" and kind.belongs(results))


def check_kind(kind: str) -> str:
    """Returns the kind, if it is one.

    Raises:
        FeatxError: Naming the kinds.
    """
    if kind not in KINDS:
        raise FeatxError(f"{kind}: must be one of {', '.join(KINDS)}{nearest(kind, KINDS)}")
    return kind
