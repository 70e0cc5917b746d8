"""`featx.extract_features`: what `featx extract` does, for Python programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.library.calls import PathLike, paths_of, settings_of, this_call
from featx.output.audience import ProgressCallback
from featx.output.library_function import library_function
from featx.store.failures import Failure

from .plan.settings import ExtractSettings
from .run import extract_videos


@dataclass(frozen=True)
class ExtractReport:
    """What an extraction did.

    Attributes:
        store: Folder of the feature store.
        added: Videos whose features were computed.
        there_already: Videos that were in the store, unchanged.
        accepted: Videos that are known to be bad, and were left out.
        frames: Frames that were encoded.
        seconds: Time that it took.
        failures: Why videos have no features, or not all; they are tried again next time.
        failures_file: Lists the failures of the store; None for one at a URL, which has them in its records.
        notes: What the command would have printed, line by line.
    """

    store: Path
    added: int
    there_already: int
    accepted: int
    frames: int
    seconds: float
    failures: list[Failure]
    failures_file: Path | None
    notes: list[str]


@library_function(ExtractSettings)
def extract_features(
    inputs: PathLike | Iterable[PathLike],
    *,
    to: PathLike,
    model: PathLike = "ViT-B/16",
    progress: ProgressCallback | None = None,
    **settings: Any,
) -> ExtractReport:
    """Computes the CLIP features of the frames of videos into a feature store, as ``featx extract`` does.

    Videos that are in the store are not computed again, so the same call goes on after an interruption. A video that
    cannot be decoded does not raise: it stands in the report's ``failures``.

    Args:
        inputs: Folders (searched recursively), video files, or manifests (.jsonl); or one of them.
        to: Folder or URL of the feature store to create or to add to.
        model: CLIP that computes the features: one of OpenAI's names, the path of a checkpoint, or ``tiny``.
        progress: Is called about four times a second, and at the end, with the videos done, their total, and a line of
            figures.
        settings: Any other option of ``featx extract``, with underscores, such as ``fps=2`` or ``device="cuda"``.

    Raises:
        FeatxError: If inputs, settings and store do not go together, or a device fails.
        KeyboardInterrupt: After Ctrl-C; every whole video is in the store.
    """
    call = this_call()
    call.progress = progress
    checked = settings_of(ExtractSettings, {"model": str(model), **settings})
    tally, failures_file = extract_videos(paths_of(inputs), Path(to), checked)
    return ExtractReport(
        store=Path(to),
        added=tally.added,
        there_already=tally.there_already,
        accepted=tally.accepted,
        frames=tally.frames.frames_encoded,
        seconds=tally.seconds,
        failures=tally.failures,
        failures_file=failures_file,
        notes=call.lines,
    )
