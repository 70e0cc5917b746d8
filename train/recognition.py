"""The recipe for recognition: clips of cached features against the prompted texts of the classes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from featx.clip.load import LoadedClip
from featx.clip.text import TextPlan, TextTower
from featx.dataset import LabelledVideos, list_labelled, load_clip_of
from featx.errors import FeatxError
from featx.files import write_atomically
from featx.manifest import Manifest, read_manifest
from featx.model.adapter import (
    ADAPTER_FILE,
    Adapter,
    AdapterConfig,
    AdapterHeader,
    read_header,
    save_adapter,
)
from featx.sources import open_source
from featx.store.reader import FeatureStore
from featx.train.checkpoint import Checkpoints
from featx.train.loader import Loader
from featx.train.loop import Loop, Parts, Progress, differing, some_of
from featx.train.ranks import Ranks, join_ranks
from featx.train.sampler import Sampler, keep_back
from featx.train.settings import MAY_CHANGE, TrainSettings
from featx.train.step import Step, TextSide
from featx.train.stopwatch import Stopwatch
from featx.train.summary import Summary, read_summary, write_summary
from featx.train.validation import Validator

LAST_ADAPTER_FILE = "adapter-last.safetensors"


@dataclass(frozen=True)
class Inputs:
    """All that a run starts from, read and checked; nothing is written yet.

    Attributes:
        store: Features.
        manifest: Labels and splits.
        videos: The training split.
        kept_back: (V,) bool, the videos that validate.
        loaded: The CLIP of the store's features.
        adapter: Untrained.
        plan: Where the class texts and prompts go.
    """

    store: FeatureStore
    manifest: Manifest
    videos: LabelledVideos
    kept_back: np.ndarray
    loaded: LoadedClip
    adapter: Adapter
    plan: TextPlan

    @property
    def truncated(self) -> list[str]:
        """Class texts that were cut because they were too long."""
        texts = list(self.manifest.header.classes.values())
        return [texts[index] for index in self.plan.truncated]


def train(
    settings: TrainSettings, run: Path, fresh: bool = False, say: Callable[[str], None] = print
) -> Summary:
    """Trains an adapter and writes it into the run's folder; goes on where an interrupted run stopped.

    Args:
        settings: Of the run.
        run: Its folder.
        fresh: Whether to throw away what is in the folder and start over.
        say: Prints a line for the user; only the first rank calls it.

    Raises:
        FeatxError: If store, manifest and CLIP do not belong together, or the folder holds another run.
        Interrupted: After Ctrl-C or SIGTERM.
    """
    with join_ranks(settings.device) as ranks:
        if fresh and ranks.first:
            clear(run)
        ranks.agree(None)  # nobody looks into the folder before it is cleared
        finished = ranks.agree((run / ADAPTER_FILE).exists())
        if finished:
            return _finished(settings, run)
        inputs = prepare(settings)
        return _learn(settings, inputs, run, ranks, say if ranks.first else lambda line: None)


def prepare(settings: TrainSettings) -> Inputs:
    """Reads and checks everything that a run starts from.

    Raises:
        FeatxError: If store, manifest and CLIP do not belong together.
    """
    store = FeatureStore(settings.store)
    manifest = read_manifest(settings.manifest)
    videos = list_labelled(store, manifest, settings.train_split)
    kept_back = keep_back(videos.labels, settings.validation, settings.seed)
    if settings.validation and not kept_back.any():
        raise FeatxError(
            f"--validation {settings.validation}: no class of split '{settings.train_split}' has two videos; leave it out"
        )
    loaded = load_clip_of(store, settings.model)
    config = AdapterConfig(**{name: getattr(settings, name) for name in AdapterConfig.model_fields})
    torch.manual_seed(settings.seed)  # the start values are the only numbers that torch draws
    adapter = Adapter(config, loaded.text_width, loaded.width)
    plan = adapter.plan(list(manifest.header.classes.values()))
    return Inputs(store, manifest, videos, kept_back, loaded, adapter, plan)


def clear(run: Path) -> None:
    """Removes what a run wrote into its folder, and nothing else."""
    Checkpoints(run).clear()
    shutil.rmtree(run / "tensorboard", ignore_errors=True)
    for name in (
        ADAPTER_FILE,
        LAST_ADAPTER_FILE,
        "log.jsonl",
        "summary.json",
        "validation.txt",
        "missing-train.txt",
    ):
        (run / name).unlink(missing_ok=True)


def identity(settings: TrainSettings, inputs: Inputs) -> dict[str, Any]:
    """Returns what must be equal for a checkpoint to be gone on from: settings, features, classes, videos."""
    videos = inputs.videos
    listed = json.dumps([videos.ids, videos.labels.tolist(), videos.rows.tolist()]).encode()
    return {
        "settings": settings.model_dump(mode="json", exclude=MAY_CHANGE),
        "features": inputs.store.header.fingerprint.model_dump(),
        "classes": inputs.manifest.header.classes,
        "videos": len(videos),
        "list of videos": hashlib.sha256(listed).hexdigest()[:12],
    }


def _finished(settings: TrainSettings, run: Path) -> Summary:
    then = read_header(run / ADAPTER_FILE).settings
    now = settings.model_dump(mode="json")
    differences = differing(*({k: v for k, v in some.items() if k not in MAY_CHANGE} for some in (then, now)))
    if differences:
        raise FeatxError(
            f"{run}: holds a finished run with other settings ({some_of(differences)}); choose another --to, or "
            "start over with --fresh"
        )
    return read_summary(run)


def _learn(
    settings: TrainSettings, inputs: Inputs, run: Path, ranks: Ranks, say: Callable[[str], None]
) -> Summary:
    kept_back = np.flatnonzero(inputs.kept_back)
    if ranks.first:
        run.mkdir(parents=True, exist_ok=True)
        _list_videos(run / "validation.txt", [inputs.videos.ids[index] for index in kept_back])
        _list_videos(run / "missing-train.txt", inputs.videos.missing)
    loop = None
    if inputs.adapter.parameter_count():
        loop = Loop(settings, _make_parts(settings, inputs, ranks), run, identity(settings, inputs), say)
        loop.resume()
        loop.run()
    progress = loop.progress if loop else Progress()
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
        best_top1=progress.best.top1 if progress.best else None,
        missing=inputs.videos.missing,
        truncated=inputs.truncated,
    )
    if ranks.first:
        _save(settings, inputs, run, loop, summary)
    return summary


def _make_parts(settings: TrainSettings, inputs: Inputs, ranks: Ranks) -> Parts:
    videos, device = inputs.videos, ranks.device
    adapter, kept = inputs.adapter.to(device), np.flatnonzero(inputs.kept_back)
    tower = make_tower(settings, inputs, device)
    watch = Stopwatch(device)
    source = open_source(
        inputs.store, videos.ids, videos.rows, device, settings.feature_memory_gib, ranks.neighbours
    )
    sampler = Sampler(
        seed=settings.seed,
        batch=settings.batch,
        videos=np.flatnonzero(~inputs.kept_back),
        labels=videos.labels,
        row_counts=videos.rows,
        classes=len(inputs.manifest.header.classes),
        class_limit=settings.class_limit,
        clip_frames=settings.clip_frames,
        strides=settings.strides,
        stride_weights=settings.stride_weights,
    )
    text_side = TextSide(adapter, tower, inputs.plan.to(device), inputs.loaded.width, ranks)
    return Parts(
        adapter=adapter,
        text_side=text_side,
        step=Step(adapter, text_side, ranks, settings.loss == "symmetric", watch),
        loader=Loader(sampler, source, ranks, settings.accumulate, settings.workers),
        validator=Validator(kept, videos.labels[kept], videos.rows[kept], source, settings, ranks)
        if len(kept)
        else None,
        ranks=ranks,
        watch=watch,
    )


def make_tower(settings: TrainSettings, inputs: Inputs, device: str) -> TextTower:
    """Returns the frozen text encoder that a run trains through."""
    return TextTower(
        inputs.loaded.model.to(device), settings.precision, settings.compile, checkpoint=settings.recompute
    )


def _save(settings: TrainSettings, inputs: Inputs, run: Path, loop: Loop | None, summary: Summary) -> None:
    """Writes the files of a finished run; the adapter last, because it is what says that the run is finished."""
    header = AdapterHeader(
        config=inputs.adapter.config,
        fingerprint=inputs.store.header.fingerprint,
        model_source=inputs.loaded.source,
        classes=inputs.manifest.header.classes,
        data_set=inputs.manifest.header.name,
        settings=settings.model_dump(mode="json"),
    )
    write_summary(summary, run)
    if loop and loop.progress.best:
        inputs.adapter.load_state_dict(loop.last)
        save_adapter(run / LAST_ADAPTER_FILE, inputs.adapter, header)
    if loop:
        inputs.adapter.load_state_dict(loop.chosen)
    save_adapter(run / ADAPTER_FILE, inputs.adapter, header)
    Checkpoints(run).clear()


def _list_videos(file: Path, ids: list[str]) -> None:
    if ids:
        write_atomically(file, "".join(f"{video_id}\n" for video_id in ids).encode())
    else:
        file.unlink(missing_ok=True)
