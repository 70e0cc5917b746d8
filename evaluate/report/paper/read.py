"""Reads the paper's tables, so that ours can stand beside them."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

LOCALISATION_TABLES = ("localisation-closed", "localisation-open")
TABLES = ("closed-set", "ablation", "few-shot", "open-set", *LOCALISATION_TABLES, "retrieval")

PaperMethod = Literal["zero-shot", "linear-probe", "adapter"]


class PaperRow(BaseModel):
    """One number or pair of numbers of the paper.

    Attributes:
        data_set: Name as in a manifest, such as `kinetics700`.
        method: `adapter` for the paper's own; else a baseline.
        prompts: k of k+X+k; None where the paper does not say it, and for baselines.
        layers: Layers of the temporal Transformer; None as above.
        ways: Few-shot: classes of an episode, 0 for all; None elsewhere.
        shots: Few-shot: training videos of a class.
        seen: Open-set localisation: number of classes that are learned.
        metrics: Metric to value in percent: `top1`, `top5`, `avg` (their mean), `map@0.5`, `average_map`, `t2v_r1`, …; a rank
            as it is.
    """

    model_config = ConfigDict(extra="forbid")

    data_set: str
    method: PaperMethod
    prompts: int | None = None
    layers: int | None = None
    ways: int | None = None
    shots: int | None = None
    seen: int | None = None
    metrics: dict[str, float]


class PaperTable(BaseModel):
    """A table of the paper."""

    model_config = ConfigDict(extra="forbid")

    title: str
    source: str
    protocol: str
    rows: list[PaperRow]

    def find(self, **fields: object) -> PaperRow | None:
        """Returns the one row with these fields; None if there is none, or several: a missing cell is never guessed."""
        fitting = [
            row for row in self.rows if all(getattr(row, key) == value for key, value in fields.items())
        ]
        return fitting[0] if len(fitting) == 1 else None


class PaperSettings(BaseModel):
    """What the numbers are about.

    Attributes:
        clip: Name of the CLIP.
        clip_frames: T, frames of a clip.
        split: Split that is tested, by data set.
        classes: Number of classes, by data set.
        captions: Number of captions of the test, by data set; retrieval.
        open_set: Numbers of seen and unseen classes, by data set; recognition.
        class_splits: How many random class splits, by data set; open-set localisation.
        episodes: Number of few-shot episodes, by their number of classes (0: all).
    """

    model_config = ConfigDict(extra="forbid")

    clip: str
    clip_frames: int
    split: dict[str, str]
    classes: dict[str, int]
    captions: dict[str, int]
    open_set: dict[str, tuple[int, int]]
    class_splits: dict[str, int]
    episodes: dict[int, int]


def read_paper_settings() -> PaperSettings:
    """Returns what the paper's numbers are about."""
    return PaperSettings(**_read("settings"))


def read_paper_table(name: str) -> PaperTable:
    """Returns a table of the paper by its name, one of `TABLES`."""
    return PaperTable(**_read(name))


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
