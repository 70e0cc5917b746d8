"""Data sets that are known to share videos: a score on one, learned from the other, may be too good."""

from __future__ import annotations

from featx.scoring.results import Results

# (learned from, scored on): why the scores may be too good; see data_manifests/official/info.
OVERLAPS = {
    (
        "kinetics700",
        "kinetics400",
    ): "Kinetics-400's validation videos are largely inside Kinetics-700's training set",
    ("kinetics400", "kinetics700"): "Kinetics-400 and Kinetics-700 share videos",
}


def overlap_note(results: Results) -> str | None:
    """Returns a warning if training and test are known to share videos."""
    learned = results.trained_on
    reason = OVERLAPS.get((learned.data_set or "", results.data_set)) if learned else None
    if reason is None or learned is None:
        return None
    return (
        f"warning: {results.run}: learned from {learned.data_set}, scored on {results.data_set}: {reason}; take them out, "
        "or do not call it a test"
    )
