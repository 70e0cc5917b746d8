"""From scored detections to tables: mean average precision, each class, kinds of wrong detections, recall of proposals."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from featx.localisation.detection_scores import AVERAGE, ScoredDetections, ScoredProposals, metric_name
from featx.localisation.detections_file import DetectionsFile
from featx.localisation.ground_truth import GroundTruth
from featx.localisation.metrics.average_precision import RULES, area_under_envelope
from featx.localisation.metrics.false_positives import KINDS

from .table import Cell, Table

RULE_WORDS = {
    "official": "ActivityNet's program: repeated instances and those without length count",
    "dedup": "ActivityNet's program, without instances that repeat exactly or have no length",
    "thumos-matlab": "THUMOS14's updated kit: overlap strictly greater, the ground truth chooses, detections over "
    "ambiguous intervals are dropped",
}


def detections_table(scored: ScoredDetections, name: str, scored_of: str, notes: list[str]) -> Table:
    """Returns one row: mAP at each overlap and the average."""
    columns = [f"mAP@{threshold:g} %" for threshold in scored.thresholds]
    values = [100 * scored.metrics[metric_name(threshold)] for threshold in scored.thresholds]
    row: list[Cell] = [name, scored.rule, *values, 100 * scored.metrics[AVERAGE], scored_of]
    notes = [
        *notes,
        f"AP rule {scored.rule}: {RULE_WORDS[scored.rule]}; of equal scores the earlier is first",
    ]
    if RULES[scored.rule].area is not area_under_envelope:
        notes.append(
            f"its AP is the mean precision at the hits; under the precision envelope, as ActivityNet has it, the average "
            f"would be {100 * scored.average_under_envelope:.1f}%"
        )
    if scored.not_scored:
        notes.append(f"{scored.not_scored:,} detections are of classes that the split does not show: no AP")
    columns = ["detections", "AP", *columns, "average %", "scored"]
    return Table(_title("Localisation", scored.truth, scored), columns, [row], notes)


def class_table(scored: ScoredDetections) -> Table:
    """Returns one row a class: instances, detections and average precision."""
    precision = scored.precision
    found = np.bincount(scored.detections.labels, minlength=len(scored.truth.labels))
    rows: list[list[Cell]] = []
    for index, label in enumerate(precision.labels.tolist()):
        ap = [100 * value for value in precision.ap[:, index].tolist()]
        name = scored.truth.labels[label]
        rows.append([name, int(precision.positives[index]), int(found[label]), *ap, sum(ap) / len(ap)])
    columns = [f"AP@{threshold:g} %" for threshold in scored.thresholds]
    return Table(
        f"Classes, AP rule {scored.rule}",
        ["class", "instances", "detections", *columns, "average %"],
        rows,
        [],
    )


def errors_table(scored: ScoredDetections) -> Table:
    """Returns one row a kind of detection; columns for the best of each class and for all."""
    kinds, counts = scored.errors()
    columns = ["kind"]
    for name in counts:
        columns += [name, f"{name} %"]
    rows: list[list[Cell]] = []
    for kind in KINDS:
        row: list[Cell] = [kind]
        for some in counts.values():
            row += [some[kind], 100 * some[kind] / max(sum(some.values()), 1)]
        if any(some[kind] for some in counts.values()) or kind != "ambiguous":
            rows.append(row)
    notes = [
        "top 1G: of each class as many detections as it has instances, the best first; top 10G: ten times as many",
        f"{kinds.missed:,} of {kinds.instances:,} instances have no detection that hits them",
    ]
    return Table(f"Kinds of detections at tIoU {kinds.threshold:g} (after DETAD)", columns, rows, notes)


def proposals_table(scored: ScoredProposals, name: str, scored_of: str, notes: list[str]) -> Table:
    """Returns one row: average recall at several average numbers of proposals, and the area under the curve."""
    metrics = scored.metrics
    columns = [f"{metric.upper()} %" for metric in metrics]
    row: list[Cell] = [name, *(100 * value for value in metrics.values()), scored_of]
    overlaps = ", ".join(f"{threshold:g}" for threshold in scored.thresholds)
    notes = [
        *notes,
        f"recall averaged over tIoU {overlaps}; every video gives the same share of its proposals, at most "
        f"{scored.curve.number[-1]:g} on average (ActivityNet's proposal task)",
    ]
    return Table(_title("Proposals", scored.truth, None), ["proposals", *columns, "scored"], [row], notes)


def _title(what: str, truth: GroundTruth, scored: ScoredDetections | None) -> str:
    instances = len(truth.instances) if scored is None else len(scored.matches.instances)
    classes = len(np.unique(truth.instances.labels)) if scored is None else len(scored.precision.labels)
    return f"{what}: {truth.data_set}, split {truth.split}, {classes} classes, {instances:,} instances"


def coverage(
    file: Path, read: DetectionsFile, truth: GroundTruth, missing_file: Path
) -> tuple[str, list[str]]:
    """Returns how many videos were scored of how many, as a cell and as notes."""
    scored, asked = int(read.seen.sum()), len(truth.video_ids)
    line = f"scored {scored:,} of {asked:,} videos, {asked - scored:,} missing"
    if scored < asked:
        line += f" from {file}, which count as videos without detections: {missing_file}"
    notes = [line, f"{len(read.detections):,} detections", *truth.notes]
    notes += [
        f"{number:,} videos are not scored: {reason}"
        for reason, number in Counter(truth.excluded.values()).items()
    ]
    notes += [f"{number:,} detections left out: {reason}" for reason, number in read.left_out.items()]
    return f"{scored:,}/{asked:,}", notes
