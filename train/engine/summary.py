"""What a training run did: ``summary.json`` in its folder, and the lines that the command prints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from featx.errors import FeatxError, printable
from featx.files.digest import read_json, write_json

from .stopwatch import PHASES

SUMMARY_FILE = "summary.json"


@dataclass(frozen=True)
class Summary:
    """What a training run did.

    Attributes:
        parameters: Numbers that were learned.
        steps: Steps that were done, which ``patience`` may have cut short.
        seconds: Time of the steps, interruptions left out.
        shares: Share of that time by phase, where it was measured.
        features_in: Where features were kept.
        processes: That trained together, at the end.
        videos: That were learned from.
        validation_videos: That were kept back.
        best_step: The step whose adapter was kept; 0 if nothing was validated and the last one's was.
        best_score: Its score on the validation videos, in what `measure` says.
        missing: Ids of the split's videos that the store lacks.
        truncated: Texts that were too long and cut.
        measure: Name of the score.
        texts: What the texts are.
        threads: Of the CPU in each process; with another number sums are rounded differently. 0 in a summary of before.
        identity: What the same command is compared by: settings, features, classes, videos; None in a summary of before.
    """

    parameters: int
    steps: int
    seconds: float
    shares: dict[str, float]
    features_in: str
    processes: int
    videos: int
    validation_videos: int
    best_step: int
    best_score: float | None
    missing: list[str]
    truncated: list[str]
    measure: str = "top-1"
    texts: str = "class texts"
    threads: int = 0
    identity: dict[str, Any] | None = None

    def lines(self, adapter: Path) -> list[str]:
        """Returns what a user should read."""
        lines = [
            f"{adapter}: {self.parameters:,} learned parameters, {self.videos} videos, {self.steps} steps in "
            f"{self.seconds:.1f} s"
        ]
        if self.shares:
            measured = [(name, self.shares[name]) for name in PHASES if self.shares[name]]
            lines.append(
                f"time of a step: {', '.join(f'{name} {100 * share:.1f}%' for name, share in measured)}; features in "
                f"{self.features_in}; {self.processes} process{'es' if self.processes > 1 else ''}"
            )
        if self.best_score is not None:
            lines.append(
                f"kept: step {self.best_step}, the best on {self.validation_videos} validation videos "
                f"({self.measure} {100 * self.best_score:.1f}%), which are listed in {adapter.parent / 'validation.txt'}"
            )
        if self.missing:
            lines.append(
                f"{len(self.missing)} videos of the training split have no features: {adapter.parent / 'missing-train.txt'}"
            )
        if self.truncated:
            lines.append(
                f"{len(self.truncated)} {self.texts} were too long and cut, '{shorten(self.truncated[0], 60, placeholder='…')}' first"
            )
        return [printable(line) for line in lines]


def write_summary(summary: Summary, run: Path) -> None:
    """Writes the summary into the run's folder."""
    write_json(run / SUMMARY_FILE, asdict(summary), indent=2)


def read_summary(run: Path) -> Summary:
    """Reads the summary of a finished run.

    Raises:
        FeatxError: If it is not there, or damaged.
    """
    file = run / SUMMARY_FILE
    way_out = "choose another --to, or start over with --fresh"
    try:
        return Summary(**read_json(file, way_out))
    except TypeError as error:
        raise FeatxError(f"{file}: cannot read it ({error}); {way_out}") from error
