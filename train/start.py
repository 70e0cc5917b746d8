"""What settings of training ask for, begun: an adapter, a detector, or few-shot episodes, in one process or several."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.errors import FeatxError

from .adapter.settings import TrainSettings
from .detector.settings import ProposalSettings
from .engine.settings import LearnSettings

if TYPE_CHECKING:
    from .adapter.episodes import Outcome
    from .engine.summary import Summary

SETTINGS: dict[str, type[LearnSettings]] = {
    "recognition": TrainSettings,
    "localisation": TrainSettings,
    "retrieval": TrainSettings,
    "proposals": ProposalSettings,
}


@dataclass(frozen=True)
class Learned:
    """What was learned.

    Attributes:
        summary: Of the run; of few-shot episodes their results.
        lines: What a user should read.
    """

    summary: Summary | Outcome
    lines: list[str]


def start(settings: LearnSettings, to: Path, fresh: bool, say: Callable[[str], None]) -> Learned:
    """Trains, or goes on from what the folder holds.

    Args:
        settings: Of the run.
        to: Its folder.
        fresh: Whether to delete what an earlier run left there.
        say: Prints a line for the user. With several processes it goes to them, so it must be a function of a module.

    Raises:
        FeatxError: If settings, data and folder do not go together.
    """
    ranks = int(os.environ.get("WORLD_SIZE", "1"))  # set by torchrun
    if ranks > 1 and settings.devices not in (1, ranks):
        raise FeatxError(f"--devices {settings.devices}: torchrun started {ranks} processes; leave it out")
    if isinstance(settings, TrainSettings) and settings.episodes is not None:
        from .adapter.episodes import train_episodes

        outcome = train_episodes(settings, to, fresh, say)
        return Learned(outcome, outcome.lines())
    learn, file = _work_of(settings)
    if settings.devices > 1 and ranks == 1:
        from .engine.launch import in_ranks

        summary = in_ranks(settings.devices, learn, settings, to, fresh, say)
    else:
        summary = learn(settings, to, fresh, say)
    return Learned(summary, summary.lines(to / file))


def _work_of(settings: LearnSettings) -> tuple[Callable[..., Any], str]:
    """Returns what learns with such settings, and the name of the file that says that it has finished."""
    if isinstance(settings, ProposalSettings):
        from featx.localisation.detector import DETECTOR_FILE

        from .detector.learn import train_proposals

        return train_proposals, DETECTOR_FILE
    from featx.model.adapter import ADAPTER_FILE

    from .adapter.learn import train as train_recognition

    return train_recognition, ADAPTER_FILE
