"""The recipe: clips of cached features against prompted texts, those of classes or (retrieval) sentences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from featx.errors import FeatxError
from featx.features.dataset import CaptionedVideos, LabelledVideos
from featx.features.sources import free_gpu_bytes, free_memory_bytes
from featx.files.lock import locked
from featx.model.adapter import (
    ADAPTER_FILE,
    SCHEMA_VERSION,
    WITH_MODEL_CODE,
    AdapterHeader,
    read_header,
    save_adapter,
)

from ..engine.loop import Loop, LoopComponents, RunProgress
from ..engine.ranks import Ranks, join_ranks
from ..engine.run_context import RunContext
from ..engine.run_folder import (
    EPISODES_FILE,
    MISSING_LIST,
    VALIDATION_LIST,
    check_finished,
    clear,
    last_of,
    write_ids,
)
from ..engine.run_identity import check_identity, digest_of
from ..engine.score import Scorer
from ..engine.stopwatch import Stopwatch
from ..engine.summary import Summary, read_summary, write_summary
from .cost import TextSize, kept_bytes
from .inputs import AdapterInputs, SharedResources, list_videos, make_loader, objective_of, prepare
from .settings import TrainSettings
from .step import AdapterStep, TextSide
from .validation import RetrievalValidator, Validator


def train(
    settings: TrainSettings,
    run: Path,
    fresh: bool = False,
    say: Callable[[str], None] = print,
    shared: SharedResources | None = None,
) -> Summary:
    """Trains an adapter and writes it into the run's folder; goes on where an interrupted run stopped.

    Args:
        settings: Of the run.
        run: Its folder.
        fresh: Whether to throw away what is in the folder and start over.
        say: Prints a line for the user; only the first rank calls it.
        shared: What runs before this one have opened.

    Raises:
        FeatxError: If store, manifest and CLIP do not belong together, or the folder holds another run.
        Interrupted: After Ctrl-C or SIGTERM.
    """
    with join_ranks(settings.device) as ranks, locked(run, "run", ranks.first):
        if (run / EPISODES_FILE).exists():
            raise FeatxError(f"{run}: holds a run over episodes; choose another --to")
        if fresh and ranks.first:
            clear(run)
        ranks.broadcast(None)  # nobody looks into the folder before it is cleared
        finished, shared = ranks.broadcast((run / ADAPTER_FILE).exists()), shared or SharedResources(settings)
        if finished and (summary := _finished(settings, run, shared)):
            return summary
        inputs = prepare(settings, shared, shared.manifest, settings.train_split)
        return _learn(settings, inputs, RunContext(run, ranks, say if ranks.first else lambda line: None))


def identity(
    settings: TrainSettings,
    shared: SharedResources,
    videos: LabelledVideos | CaptionedVideos,
    classes: dict[str, str],
) -> dict[str, Any]:
    """Returns what must be equal for a run to be gone on from, or to be the same: settings, features, classes, videos."""
    said: list[Any] = (
        [videos.texts, videos.text_of.tolist(), videos.video_of.tolist()]
        if isinstance(videos, CaptionedVideos)
        else [videos.labels.tolist()]
    )
    return {
        "settings": settings.lasting(),
        "model code": shared.own_model.record.identity if shared.own_model else None,
        "features": shared.store.header.fingerprint.model_dump(),
        "classes": classes,
        "videos": len(videos),
        "list of videos": digest_of([videos.ids, *said, videos.first_rows.tolist(), videos.rows.tolist()]),
    }


def _finished(settings: TrainSettings, run: Path, shared: SharedResources) -> Summary | None:
    """Compares a finished run with what is asked for; returns its summary, or None if it is to be given more steps."""
    header, summary = read_header(run / ADAPTER_FILE), read_summary(run)
    further = check_finished(run, header.settings, settings)
    videos = list_videos(settings, shared.store, shared.manifest, settings.train_split)
    classes = {} if isinstance(videos, CaptionedVideos) else shared.manifest.header.classes
    about = identity(settings, shared, videos, classes)
    then = summary.identity or {"features": header.fingerprint.model_dump(), "classes": header.classes}
    then |= {"model code": header.config.model_code.identity if header.config.model_code else None}
    # Settings are compared above: with more steps they differ, and the rest still has to be the same.
    check_identity(run, "a finished run", then | {"settings": about["settings"]}, about)
    return None if further else summary


def _learn(settings: TrainSettings, inputs: AdapterInputs, context: RunContext) -> Summary:
    run, ranks = context.folder, context.ranks
    kept_back = np.flatnonzero(inputs.kept_back)
    if ranks.first:
        run.mkdir(parents=True, exist_ok=True)
        write_ids(run / VALIDATION_LIST, [inputs.videos.ids[index] for index in kept_back])
        write_ids(run / MISSING_LIST, inputs.videos.missing)
    loop = None
    about = identity(settings, inputs.shared, inputs.videos, inputs.classes)
    if inputs.adapter.parameter_count():
        recompute = must_recompute(settings, [inputs], context)
        loop = Loop(settings, make_components(settings, inputs, ranks, recompute), run, about, context.say)
        loop.resume()
        loop.run()
    progress = loop.progress if loop else RunProgress()
    summary = Summary(
        parameters=inputs.adapter.parameter_count(),
        steps=progress.step,
        seconds=round(progress.seconds, 3),
        shares=loop.shares if loop else {},
        features_in=loop.features_in if loop else "the store",
        processes=ranks.count,
        videos=len(inputs.videos) - len(kept_back),
        validation_videos=len(kept_back),
        best_step=progress.best_step,
        best_score=progress.best.value if progress.best else None,
        missing=inputs.videos.missing,
        truncated=inputs.truncated,
        measure="R@1" if settings.task == "retrieval" else "top-1",
        texts="sentences" if settings.task == "retrieval" else "class texts",
        threads=torch.get_num_threads(),
        identity=about,
    )
    if ranks.first:
        _save(settings, inputs, run, loop, summary)
    return summary


def must_recompute(settings: TrainSettings, together: list[AdapterInputs], context: RunContext) -> bool:
    """Tells whether the text encoder's blocks are computed again in the backward pass: asked for, or memory is short.

    What is learned is the same, bit for bit on a CPU. A step encodes the texts of all that is learned ``together``.
    """
    if settings.recompute or not settings.prompts:
        return settings.recompute
    ranks = context.ranks
    loaded, device = together[0].shared.loaded, ranks.device
    size = TextSize(loaded.text_width, loaded.width, len(loaded.text.weights.blocks))
    texts = needed = 0
    for inputs in together:
        most = settings.batch_size if isinstance(inputs.videos, CaptionedVideos) else settings.class_limit
        count = -(-min(most, len(inputs.plan)) // ranks.count)
        texts, needed = texts + count, needed + kept_bytes(inputs.plan, count, size)
    free = free_gpu_bytes(device) if device.startswith("cuda") else free_memory_bytes() // ranks.neighbours
    if needed <= free:
        return False
    context.say(
        f"{texts} texts a step would keep about {needed / 2**30:.1f} GiB for the backward pass, of {free / 2**30:.1f} GiB "
        "(half of what is free): the text encoder's blocks are computed again instead (--recompute: the same result, a "
        "third more work); --class-limit makes it less"
    )
    return True


def make_components(
    settings: TrainSettings, inputs: AdapterInputs, ranks: Ranks, recompute: bool = False
) -> LoopComponents:
    """Returns what the loop of a run is made of; ``recompute`` as `must_recompute` says."""
    videos, device = inputs.videos, ranks.device
    adapter, kept = inputs.adapter.to(device), np.flatnonzero(inputs.kept_back)
    tower = inputs.shared.tower(device, settings.precision, settings.compile, recompute or settings.recompute)
    watch = Stopwatch(device)
    source = inputs.shared.source(videos, settings, ranks)
    plan = replace(inputs.plan.to(device), in_buckets=settings.compile and _texts_vary(settings, inputs))
    text_side = TextSide(adapter, tower, plan, inputs.shared.loaded.width, ranks)
    validator: Scorer
    if isinstance(videos, CaptionedVideos):
        validator = RetrievalValidator(kept, videos, source, settings, ranks, text_side)
    else:
        validator = Validator(
            kept, videos.labels[kept], videos.rows[kept], source, settings, ranks, text_side
        )
    return LoopComponents(
        learned=adapter,
        step=AdapterStep(adapter, text_side, ranks, objective_of(settings, inputs), watch),
        loader=make_loader(settings, inputs, source, ranks),
        validator=validator if len(kept) else None,
        ranks=ranks,
        watch=watch,
    )


def _texts_vary(settings: TrainSettings, inputs: AdapterInputs) -> bool:
    """Tells whether steps compare with texts of their own, not all with the same ones."""
    return isinstance(inputs.videos, CaptionedVideos) or len(inputs.texts) > settings.class_limit


def _save(
    settings: TrainSettings, inputs: AdapterInputs, run: Path, loop: Loop | None, summary: Summary
) -> None:
    """Writes the files of a finished run; the adapter last, because it is what says that the run is finished."""
    header = header_of(settings, inputs)
    if loop:
        loop.finish()
    write_summary(summary, run)
    if loop and loop.progress.best:
        inputs.adapter.load_state_dict(loop.last)
        save_adapter(run / last_of(ADAPTER_FILE), inputs.adapter, header)
    if loop:
        inputs.adapter.load_state_dict(loop.chosen)
    save_adapter(run / ADAPTER_FILE, inputs.adapter, header)


def header_of(settings: TrainSettings, inputs: AdapterInputs) -> AdapterHeader:
    """Returns what is written beside the learned tensors."""
    return AdapterHeader(
        featx_adapter=WITH_MODEL_CODE if inputs.adapter.config.model_code else SCHEMA_VERSION,
        config=inputs.adapter.config,
        fingerprint=inputs.shared.store.header.fingerprint,
        model_source=inputs.shared.loaded.source,
        classes=inputs.classes,
        data_set=inputs.manifest.header.name,
        settings=settings.model_dump(mode="json"),
    )
