"""What a training run did: ``summary.json`` in its folder, and the lines that the command prints."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import shorten

from featx.errors import FeatxError
from featx.files import write_atomically
from featx.train.stopwatch import PHASES

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
        best_top1: Its share of validation videos whose class came first; in retrieval of sentences whose video did.
        missing: Ids of the split's videos that the store lacks.
        truncated: Texts that were too long and cut.
        task: What was learned.
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
    best_top1: float | None
    missing: list[str]
    truncated: list[str]
    task: str = "recognition"

    def lines(self, adapter: Path) -> list[str]:
        """Returns what a user should read."""
        score, text = ("R@1", "sentences") if self.task == "retrieval" else ("top-1", "class texts")
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
        if self.best_top1 is not None:
            lines.append(
                f"kept: step {self.best_step}, the best on {self.validation_videos} validation videos ({score} "
                f"{100 * self.best_top1:.1f}%), which are listed in {adapter.parent / 'validation.txt'}"
            )
        if self.missing:
            lines.append(
                f"{len(self.missing)} videos of the training split have no features: {adapter.parent / 'missing-train.txt'}"
            )
        if self.truncated:
            lines.append(
                f"{len(self.truncated)} {text} were too long and cut, '{shorten(self.truncated[0], 60, placeholder='…')}' first"
            )
        return lines


def write_summary(summary: Summary, run: Path) -> None:
    """Writes the summary into the run's folder."""
    write_atomically(run / SUMMARY_FILE, json.dumps(asdict(summary), indent=2).encode() + b"\n")


def read_summary(run: Path) -> Summary:
    """Reads the summary of a finished run.

    Raises:
        FeatxError: If it is not there, or damaged.
    """
    file = run / SUMMARY_FILE
    try:
        return Summary(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise FeatxError(
            f"{file}: cannot read it ({error}); choose another --to, or start over with --fresh"
        ) from error
