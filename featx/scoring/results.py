"""The results file: what a run scored, on what, and of how many videos. See docs/results-file.md.

A result is about one adapter on one split, or about several of them (episodes, seeds, class splits), which are its ``items``: the
metrics are then their means, and ``spread`` says how far they lie apart.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from featx.errors import FeatxError
from featx.files.atomic import write_atomically
from featx.files.digest import read_json, write_json
from featx.files.documents import check_version, validate
from featx.metrics.statistics import Spread, spread_of

SCHEMA_VERSION = 1
ALL_WAYS = 0
ROUNDING = 1e-6  # by which a mean of fractions may be above 1

Method = Literal["adapter", "zero-shot", "linear-probe", "nearest-mean"]
ClassSet = Literal["all", "seen", "unseen"]
Count = Annotated[int, Field(ge=0)]


def _within_bounds(metrics: dict[str, float]) -> dict[str, float]:
    for name, value in metrics.items():
        if name.endswith("_rank"):
            if not (math.isfinite(value) and value >= 1):
                raise ValueError(f"{name} is {value}; ranks begin at 1")
        elif not 0 <= value <= 1 + ROUNDING:
            raise ValueError(f"{name} is {value}; it must be a fraction, from 0 to 1")
    return metrics


Metrics = Annotated[dict[str, float], AfterValidator(_within_bounds)]


class Videos(BaseModel):
    """How many videos the metrics are about, and the ids of those that had no features.

    Attributes:
        scored: Videos scored; over several items, scorings.
        missing: Ids of the videos that the store lacks, each once.
        left_out: Videos of the split that show none of the classes that were asked for.
    """

    model_config = ConfigDict(extra="forbid")

    scored: Count
    missing: list[str]
    left_out: Count = 0


class TrainedOn(BaseModel):
    """What was learned from.

    Attributes:
        data_set: Name of the manifest; None if the run does not say and the manifest is gone.
        manifest: Its file.
        split: Its split.
        classes: Labels of the classes that were seen.
    """

    model_config = ConfigDict(extra="forbid")

    data_set: str | None = None
    manifest: str | None = None
    split: str | None = None
    classes: list[str]


class FewShot(BaseModel):
    """The protocol of few-shot results.

    Attributes:
        episodes: The episodes file.
        ways: Classes of an episode; `ALL_WAYS` if they are all classes of the manifest; None if that differs.
        shots: Training videos of a class; None if that differs.
    """

    model_config = ConfigDict(extra="forbid")

    episodes: str
    ways: int | None
    shots: int | None = None


class Localisation(BaseModel):
    """How detections were made and scored.

    Attributes:
        proposals: File that they were made of, or ``ground-truth``.
        rule: Of average precision.
        tiou: Overlaps that it is about.
        instances: Annotated instances that were looked for.
        proposal_weight: w in score = proposal score ** w * class probability ** (1 - w).
        top_classes: Classes of each proposal.
    """

    model_config = ConfigDict(extra="forbid")

    proposals: str
    rule: str
    tiou: list[float]
    instances: Count
    proposal_weight: float
    top_classes: int


class Item(BaseModel):
    """One of the episodes, seeds or class splits that a result is the mean of.

    Attributes:
        name: Name of the episode, or such as ``seed 0``.
        scored: Videos that were scored.
        missing: Videos that the store lacks.
        metrics: As in `Results`.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    scored: Count
    missing: Count = 0
    metrics: Metrics


class Retrieval(BaseModel):
    """What was ranked.

    Attributes:
        captions: Captions of the scored videos; each is one query.
        missing_captions: Captions of videos that the store lacks, which were not asked.
        repeated: Sentences that several captions have, and how many.
        ties: How equal scores of others count.
        bank_split: Split that the query bank was drawn of; None without one.
    """

    model_config = ConfigDict(extra="forbid")

    captions: Count
    missing_captions: Count = 0
    repeated: dict[str, int] = {}
    ties: str = "average"
    bank_split: str | None = None


class Results(BaseModel):
    """One row of a table; metrics are fractions of 1, but for ranks. ``docs/results-file.md`` says what every field means."""

    model_config = ConfigDict(extra="forbid")

    featx_results: int = SCHEMA_VERSION
    task: str
    run: str
    variant: str = ""
    date: str
    method: Method = "adapter"
    config: dict[str, Any]
    learned_parameters: Count
    data_set: str
    manifest: str
    store: str
    split: str
    clips: Count
    classes: Count
    class_set: ClassSet = "all"
    class_split: str | None = None
    classes_as_trained: bool = True
    truncated_texts: Count = 0
    trained_on: TrainedOn | None = None
    few_shot: FewShot | None = None
    localisation: Localisation | None = None
    retrieval: Retrieval | None = None
    fingerprint: dict[str, Any]
    videos: Videos
    metrics: Metrics
    spread: dict[str, Spread] = {}
    items: list[Item] = []

    @property
    def asked(self) -> int:
        """Scorings that there would be if no video lacked features."""
        if self.items:
            return sum(item.scored + item.missing for item in self.items)
        return self.videos.scored + len(self.videos.missing)

    @property
    def positions_alone(self) -> bool:
        """Whether an adapter learned temporal positions without a Transformer, as all without one did before that was a choice."""
        config = self.config
        return self.method == "adapter" and not config.get("layers") and config.get("positions", True)

    @property
    def stem(self) -> str:
        """What parts the results of one run, as part of a file's name."""
        file, _, split_name = (self.class_split or "").rpartition("#")
        if file.endswith(".jsonl"):
            split_name = f"{Path(file).stem} {split_name}"
        group = self.class_set if self.class_split or self.class_set != "all" else ""
        of = "ground-truth" if self.localisation and self.localisation.proposals == "ground-truth" else ""
        parts = (self.data_set, self.split, split_name, group, of, self.variant)
        return "-".join(re.sub(r"[^\w.,=+-]+", "_", part) for part in parts if part)


def summarise(items: Iterable[Item]) -> tuple[dict[str, float], dict[str, Spread]]:
    """Returns the means of the items' metrics, and their spreads: `Results.metrics` and `Results.spread`.

    Raises:
        ValueError: If there is no item, or one lacks a metric that another has.
    """
    items = list(items)
    if not items or any(item.metrics.keys() != items[0].metrics.keys() for item in items):
        raise ValueError("items must be at least one, and have the same metrics")
    values = {name: [item.metrics[name] for item in items] for name in items[0].metrics}
    means = {name: sum(some) / len(some) for name, some in values.items()}
    return means, {name: spread_of(some) for name, some in values.items()}


def write_results(results: Results, run: Path) -> Path:
    """Writes a result into the run's folder, beside the list of missing videos if there are any.

    Returns:
        The results file.
    """
    file = run / f"results-{results.stem}.json"
    write_json(file, json.loads(results.model_dump_json()), indent=2)
    missing = missing_file(results, run)
    missing.unlink(missing_ok=True)
    if results.videos.missing:
        write_atomically(missing, "".join(f"{video_id}\n" for video_id in results.videos.missing).encode())
    return file


def missing_file(results: Results, run: Path) -> Path:
    """Returns where the ids of the videos without features are listed."""
    return run / f"missing-{results.stem}.txt"


def read_results(run: Path) -> list[Results]:
    """Reads all results of a run's folder, in the order of their files' names; they name the folder as it was given.

    Raises:
        FeatxError: If there are none, or a file is damaged or of another schema version.
    """
    if not run.is_dir():
        raise FeatxError(f"{run}: no such folder; a run is made by featx train or featx baseline")
    found = [_read(file) for file in sorted(run.glob("results-*.json"))]
    if not found:
        raise FeatxError(f"{run}: no results yet; make them with: featx eval {run}")
    return [results.model_copy(update={"run": str(run)}) for results in found]


def _read(file: Path) -> Results:
    way_out = f"make it again with: featx eval {file.parent}"
    content = read_json(file, way_out)
    check_version(file, content.get("featx_results"), SCHEMA_VERSION)
    return validate(file, Results, content, way_out)
