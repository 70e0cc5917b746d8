"""The recipe for proposals: cached features and segments to a detector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from featx.files.lock import locked
from featx.localisation.detector import DETECTOR_FILE, DetectorHeader, read_detector_header, save_detector

from ..engine.loop import Loop, LoopComponents
from ..engine.ranks import Ranks, join_ranks
from ..engine.run_context import RunContext
from ..engine.run_folder import (
    MISSING_LIST,
    VALIDATION_LIST,
    check_finished,
    clear,
    last_of,
    write_ids,
)
from ..engine.run_identity import check_identity
from ..engine.stopwatch import Stopwatch
from ..engine.summary import Summary, read_summary, write_summary
from .inputs import ProposalInputs, identity, prepare
from .loader import ProposalLoader
from .sampler import PartSampler
from .settings import ProposalSettings
from .source import StepSource
from .step import ProposalStep
from .validation import RecallValidator


def train_proposals(
    settings: ProposalSettings, run: Path, fresh: bool = False, say: Callable[[str], None] = print
) -> Summary:
    """Trains a detector and writes it into the run's folder; goes on where an interrupted run stopped.

    Args:
        settings: Of the run.
        run: Its folder.
        fresh: Whether to throw away what is in the folder and start over.
        say: Prints a line for the user; only the first rank calls it.

    Raises:
        FeatxError: If store and manifest do not belong together, or the folder holds another run.
        Interrupted: After Ctrl-C or SIGTERM.
    """
    with join_ranks(settings.device) as ranks, locked(run, "run", ranks.first):
        if fresh and ranks.first:
            clear(run)
        ranks.broadcast(None)  # nobody looks into the folder before it is cleared
        if ranks.broadcast((run / DETECTOR_FILE).exists()) and (summary := _finished(settings, run)):
            return summary
        context = RunContext(run, ranks, say if ranks.first else lambda line: None)
        return _learn(settings, prepare(settings), context)


def _finished(settings: ProposalSettings, run: Path) -> Summary | None:
    """Compares a finished run with what is asked for; returns its summary, or None if it is to be given more steps."""
    header, summary = read_detector_header(run / DETECTOR_FILE), read_summary(run)
    further = check_finished(run, header.settings, settings)
    about = identity(settings, prepare(settings))
    then = summary.identity or {"features": header.fingerprint.model_dump(), "classes": header.classes}
    # Settings are compared above: with more steps they differ, and the rest still has to be the same.
    check_identity(run, "a finished run", then | {"settings": about["settings"]}, about)
    return None if further else summary


def _learn(settings: ProposalSettings, inputs: ProposalInputs, context: RunContext) -> Summary:
    run, ranks = context.folder, context.ranks
    kept = np.flatnonzero(inputs.kept_back)
    if ranks.first:
        run.mkdir(parents=True, exist_ok=True)
        write_ids(run / VALIDATION_LIST, [inputs.videos[index].id for index in kept])
        write_ids(run / MISSING_LIST, inputs.missing)
    if inputs.idle:
        context.say(
            f"{len(inputs.idle)} videos show nothing that is learned and are left out, '{inputs.idle[0]}' first"
        )
    about = identity(settings, inputs)
    loop = Loop(settings, make_components(settings, inputs, ranks), run, about, context.say)
    loop.resume()
    loop.run()
    progress = loop.progress
    summary = Summary(
        parameters=inputs.detector.parameter_count(),
        steps=progress.step,
        seconds=round(progress.seconds, 3),
        shares=loop.shares,
        features_in=loop.features_in,
        processes=ranks.count,
        videos=len(inputs.videos) - len(kept),
        validation_videos=len(kept),
        best_step=progress.best_step,
        best_score=progress.best.value if progress.best else None,
        missing=inputs.missing,
        truncated=[],
        measure=f"AR@{settings.keep}",
        threads=torch.get_num_threads(),
        identity=about,
    )
    if ranks.first:
        _save(settings, inputs, run, loop, summary)
    return summary


def make_components(settings: ProposalSettings, inputs: ProposalInputs, ranks: Ranks) -> LoopComponents:
    """Returns what the loop of a run is made of."""
    detector = inputs.detector.to(ranks.device)
    source = StepSource(inputs.store, inputs.videos, settings.feature_memory_gib, ranks.neighbours)
    learned = np.flatnonzero(~inputs.kept_back)
    if settings.normalise == "standard":
        mean, deviation = source.statistics(learned)
        detector.feature_mean.copy_(torch.from_numpy(mean))
        detector.feature_deviation.copy_(torch.from_numpy(deviation))
    watch = Stopwatch(ranks.device)
    step = ProposalStep(detector, ranks, settings.label_smoothing, settings.loss_weight, watch)
    sampler = PartSampler(
        settings.seed,
        settings.batch_size,
        inputs.videos,
        learned,
        settings.longest,
        detector.branches,
        settings.drop_path,
    )
    kept = np.flatnonzero(inputs.kept_back)
    return LoopComponents(
        learned=detector,
        step=step,
        loader=ProposalLoader(
            sampler, source, detector.config, settings.centre_radius, ranks, settings.workers
        ),
        validator=RecallValidator(kept, inputs.videos, source, settings, ranks, step) if len(kept) else None,
        ranks=ranks,
        watch=watch,
        measure="overlap",
    )


def _save(
    settings: ProposalSettings, inputs: ProposalInputs, run: Path, loop: Loop, summary: Summary
) -> None:
    """Writes the files of a finished run; the detector last, because it is what says that the run is finished."""
    detector = inputs.detector
    header = DetectorHeader(
        config=detector.config,
        fingerprint=inputs.store.header.fingerprint,
        classes=inputs.manifest.header.classes,
        data_set=inputs.manifest.header.name,
        settings=settings.model_dump(mode="json"),
    )
    loop.finish()
    write_summary(summary, run)
    if loop.progress.best:
        detector.load_state_dict(loop.last)
        save_detector(run / last_of(DETECTOR_FILE), detector, header)
    detector.load_state_dict(loop.chosen)
    save_detector(run / DETECTOR_FILE, detector, header)
