"""Which results stand in a table, of the folders and files that were named; what is left out is said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from featx.errors import FeatxError
from featx.scoring.results import Results, read_results

from .benchmarks import NoneOfKind, choose_results

RESULTS = "results-*.json"


@dataclass(frozen=True)
class Gathered:
    """What was found.

    Attributes:
        chosen: Results of the kind, each once.
        left_out: What has none, and why, one phrase each.
    """

    chosen: list[Results]
    left_out: list[str]


def gather_results(kind: str, runs: list[Path], split: str | None) -> Gathered:
    """Reads the results of runs.

    Args:
        kind: Of the table.
        runs: Folders, or results files; whatever a shell makes of ``runs/*`` may be among them.
        split: Results of this split alone.

    Raises:
        FeatxError: If nothing is left, a path is not there, or results are damaged.
    """
    chosen: dict[Path, Results] = {}
    left_out: list[str] = []
    for run in runs:
        folder = run if run.is_dir() or run.suffix != ".json" else run.parent
        reason = _why_not(kind, run)
        if reason is None:
            try:
                results = [
                    one for one in read_results(folder) if folder == run or _file_of(one, folder) == run
                ]
                for one in choose_results(kind, str(run), results, split):
                    chosen.setdefault(_file_of(one, folder).resolve(), one)
                continue
            except NoneOfKind as error:
                reason = str(error)
        left_out.append(reason)
    if not chosen:
        more = f" (and {len(left_out) - 1} more without)" if len(left_out) > 1 else ""
        raise FeatxError(f"{left_out[0]}{more}")
    return Gathered(list(chosen.values()), left_out)


def _file_of(results: Results, folder: Path) -> Path:
    return folder / f"results-{results.stem}.json"


def _why_not(kind: str, run: Path) -> str | None:
    """Returns why a path can have no results, and the way out; None if it has some.

    Raises:
        FeatxError: If there is nothing at the path.
    """
    if run.is_file():
        return None if run.match(RESULTS) else f"{run}: neither a folder of a run nor a results file"
    if not run.is_dir():
        raise FeatxError(f"{run}: no such folder; a run is made by featx train or featx baseline")
    if any(run.glob(RESULTS)):
        return None
    if any(run.glob(f"*/{RESULTS}")):
        above = (
            f"; those of its sweep: featx table {kind} {run.parent}" if any(run.parent.glob(RESULTS)) else ""
        )
        return f"{run}: no results of its own, but of the runs in it: featx table {kind} {run}/*{above}"
    return f"{run}: no results yet; make them with: featx eval {run}"
