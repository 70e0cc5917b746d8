"""What a run learned from, and whether what it is scored on was among it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from featx.manifest.videos import Manifest
from featx.scoring.results import TrainedOn

if TYPE_CHECKING:  # tables are printed without torch
    from .runs import Run


def trained_on(run: Run) -> TrainedOn | None:
    """Returns what a run learned from; None if it learned nothing."""
    if not run.learned_parameters:
        return None
    manifest = run.header.settings.get("manifest")
    return TrainedOn(
        data_set=run.header.data_set or _name_in(manifest),
        manifest=manifest,
        split=run.header.settings.get("train_split"),
        classes=list(run.header.classes),
    )


def is_same_data_set(learned: TrainedOn | None, manifest: Manifest) -> bool:
    """Tells whether a run learned from the data set that a manifest is about; in doubt it did."""
    return learned is None or learned.data_set in (None, manifest.header.name)


def _name_in(manifest: str | None) -> str | None:
    """Returns the name in a manifest's first line; None if the file is not there any more."""
    try:
        with Path(manifest or "").open(encoding="utf-8") as file:
            return str(json.loads(file.readline())["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
