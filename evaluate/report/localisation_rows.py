"""From localisation results to the rows of `featx eval`'s table."""

from __future__ import annotations

from pathlib import Path

from featx.localisation.detection_scores import AVERAGE, metric_name
from featx.scoring.results import Localisation, Results

from .localisation_tables import RULE_WORDS
from .rows import about, method_of, notes_of, percent, scored_of, summary_of
from .table import Cell, Table

ALONE = {"proposals_ar@50": "AR@50 %", "proposals_ar@100": "AR@100 %"}


def protocol_of(results: Results) -> Localisation:
    """Returns how a localisation result was made."""
    assert results.localisation is not None
    return results.localisation


def localisation_table(all_results: list[Results]) -> Table:
    """Returns one row a run: mAP at each overlap, the average, and what its proposals alone are worth."""
    overlaps = dict.fromkeys(one for results in all_results for one in protocol_of(results).tiou)
    metrics = [*map(metric_name, overlaps), AVERAGE, *ALONE]
    rows: list[list[Cell]] = [
        [
            Path(results.run).name,
            method_of(results),
            Path(protocol_of(results).proposals).name,
            *(percent(results, metric) for metric in metrics),
            scored_of(results),
        ]
        for results in all_results
    ]
    columns = ["run", "learned", "proposals", *(f"mAP@{overlap:g} %" for overlap in overlaps), "average %"]
    columns += [*ALONE.values(), "scored"]
    said = dict.fromkeys(f"{about(one)}, {protocol_of(one).instances:,} instances" for one in all_results)
    notes = [*notes_of(all_results), *protocol_notes(all_results), summary_of(all_results)]
    return Table(f"Localisation: {'; '.join(said)}", columns, rows, notes)


def protocol_notes(all_results: list[Results]) -> list[str]:
    """Returns by which rule and how the detections were scored."""
    notes = [
        f"AP rule {rule}: {RULE_WORDS[rule]}; of equal scores the earlier is first"
        for rule in dict.fromkeys(protocol_of(one).rule for one in all_results)
    ]
    ways = dict.fromkeys(
        (protocol_of(one).top_classes, protocol_of(one).proposal_weight) for one in all_results
    )
    notes += [
        f"the {top} best classes of each proposal; score = proposal score ** {weight:g} * class probability ** {1 - weight:g}"
        for top, weight in ways
    ]
    if all_results:
        notes.append("AR of the proposals alone: each video gives the same share of its own, N on average")
    return notes
