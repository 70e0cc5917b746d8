"""What a worker process and the run say to each other, over one pipe a worker.

The run hands out videos (`SourceVideo`, or None for "no more"); everything below goes the other way.
"""

from __future__ import annotations

from dataclasses import dataclass

from featx.store.failures import Failure
from featx.store.schema import Fingerprint, VideoFacts, VideoFeatures

from ..plan.settings import ExtractSettings
from ..plan.videos import SourceVideo
from .pipeline import Counts


@dataclass(frozen=True)
class Starting:
    """What the worker does before it is `Ready`.

    Attributes:
        what: In words that follow "it".
        within_s: How long the run waits for its next word; None: for ever, as for a download.
    """

    what: str
    within_s: float | None


@dataclass(frozen=True)
class Ready:
    """The encoder stands; ``fingerprint`` is that of the features it will make."""

    fingerprint: Fingerprint
    model_source: str


@dataclass(frozen=True)
class Want:
    """A decoder is free."""


@dataclass(frozen=True)
class Whole:
    """A video with all its rows."""

    video: SourceVideo
    rows: VideoFeatures
    facts: VideoFacts


@dataclass(frozen=True)
class Failed:
    """A video that failed; a damaged one that is kept comes as `Whole` before."""

    failure: Failure


@dataclass(frozen=True)
class Progress:
    """How far the worker is."""

    counts: Counts


@dataclass(frozen=True)
class Over:
    """The worker has done all that it was given, or met what ends the run (``error``)."""

    error: Exception | None = None


@dataclass(frozen=True)
class Lost:
    """Not a worker's word but the run's own: a device is given up; the others take the ``videos`` it had in hand."""

    device: str
    error: Exception
    videos: int


@dataclass(frozen=True)
class Duty:
    """What a worker is started with: settings, its device, its share of the cores, and the run's environment."""

    settings: ExtractSettings
    device: str
    decoders: int
    threads: int
    environment: dict[str, str]


Message = Starting | Ready | Want | Whole | Failed | Progress | Over
