"""What a worker process and the run say to each other, over one pipe a worker.

The run hands out videos (`SourceVideo`, or None for "no more"); everything below goes the other way.
"""

from __future__ import annotations

from dataclasses import dataclass

from featx.store.failures import Failure
from featx.store.schema import Fingerprint, VideoFeatures, VideoInfo

from ..plan.settings import ExtractSettings
from ..plan.videos import SourceVideo


@dataclass(frozen=True)
class WorkerStarting:
    """What the worker does before it is `WorkerReady`.

    Attributes:
        what: In words that follow "it".
        within_s: How long the run waits for its next word; None: for ever, as for a download.
    """

    what: str
    within_s: float | None


@dataclass(frozen=True)
class WorkerSays:
    """What a user has to be told before the worker is ready, such as that it downloads weights."""

    line: str


@dataclass(frozen=True)
class WorkerReady:
    """The encoder stands.

    Attributes:
        fingerprint: Of the features that it will make.
        model_source: Where CLIP's weights came from.
        remark: What a user should know before it begins; empty for nothing.
    """

    fingerprint: Fingerprint
    model_source: str
    remark: str = ""


@dataclass(frozen=True)
class RequestVideo:
    """A decoder is free."""


@dataclass(frozen=True)
class VideoDone:
    """A video with all its rows."""

    video: SourceVideo
    rows: VideoFeatures
    video_info: VideoInfo


@dataclass(frozen=True)
class VideoFailed:
    """A video that failed; a damaged one that is kept comes as `VideoDone` before."""

    failure: Failure


@dataclass(frozen=True)
class WorkerProgress:
    """How far the worker is."""

    counts: FrameCounts


@dataclass(frozen=True)
class WorkerExit:
    """The worker has done all that it was given, or met what ends the run (``error``)."""

    error: Exception | None = None


@dataclass(frozen=True)
class DeviceLost:
    """Not a worker's word but the run's own: a device is given up; the others take the ``videos`` it had in hand."""

    device: str
    error: Exception
    videos: int


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker is started with: settings, its device, its share of the cores, and the run's environment."""

    settings: ExtractSettings
    device: str
    decoders: int
    threads: int
    environment: dict[str, str]


Message = (
    WorkerStarting
    | WorkerSays
    | WorkerReady
    | RequestVideo
    | VideoDone
    | VideoFailed
    | WorkerProgress
    | WorkerExit
)


@dataclass
class FrameCounts:
    """How many frames went through a run so far.

    Attributes:
        frames_decoded: That decoders handed over.
        frames_encoded: That came back from the encoder.
        frames_from_planes: Of those that were decoded, made into pictures from YUV planes (``--scale-on device``).
        seconds: That the encoder's thread ran.
        starved_s: Of them, spent waiting for decoders.
        batch_s: Of them, spent putting a batch together and starting it.
        result_s: Of them, spent waiting for features.
    """

    frames_decoded: int = 0
    frames_encoded: int = 0
    frames_from_planes: int = 0
    seconds: float = 0.0
    starved_s: float = 0.0
    batch_s: float = 0.0
    result_s: float = 0.0

    @property
    def limit(self) -> str:
        """The side that decides the speed: `decoding` if the encoder waits a third of the time, else `encoding`."""
        return "decoding" if self.starved_s > self.seconds / 3 else "encoding"

    def add(self, other: FrameCounts) -> None:
        """Adds frames and starved time; the seconds of runs beside each other are those of the longest."""
        self.frames_decoded += other.frames_decoded
        self.frames_encoded += other.frames_encoded
        self.frames_from_planes += other.frames_from_planes
        self.starved_s += other.starved_s
        self.batch_s += other.batch_s
        self.result_s += other.result_s
        self.seconds = max(self.seconds, other.seconds)
