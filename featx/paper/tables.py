"""Reads the paper's tables, so that ours can stand beside them."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict

TABLES = ("closed-set", "ablation", "few-shot", "open-set")

Method = Literal["zero-shot", "linear-probe", "adapter"]


class PaperRow(BaseModel):
    """One number or pair of numbers of the paper.

    Attributes:
        data_set: Name as in a manifest, such as `kinetics700`.
        method: `adapter` for the paper's own; else a baseline.
        prompts: k of k+X+k; None where the paper does not say it, and for baselines.
        layers: Layers of the temporal Transformer; None as above.
        ways: Few-shot: classes of an episode, 0 for all; None elsewhere.
        shots: Few-shot: training videos of a class.
        metrics: Metric to value in percent: `top1`, `top5`, `avg` (their mean).
    """

    model_config = ConfigDict(extra="forbid")

    data_set: str
    method: Method
    prompts: int | None = None
    layers: int | None = None
    ways: int | None = None
    shots: int | None = None
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


def read_paper_table(name: str) -> PaperTable:
    """Returns a table of the paper by its name, one of `TABLES`."""
    text = resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return PaperTable(**tomllib.loads(text))
