"""Training for recognition: clips of cached features against the prompted texts of the classes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from featx.clip.text import TextTower
from featx.clips import draw_clips
from featx.dataset import LabelledVideos, load_clip_of, load_labelled
from featx.devices import choose_device
from featx.errors import FeatxError
from featx.manifest import read_manifest
from featx.model.adapter import (
    ADAPTER_FILE,
    TEMPERATURE,
    Adapter,
    AdapterConfig,
    AdapterHeader,
    save_adapter,
)
from featx.store.reader import FeatureStore
from featx.train.log import RunLog
from featx.train.settings import TrainSettings


@dataclass(frozen=True)
class Summary:
    """What a training run did."""

    adapter: Path
    parameters: int
    videos: int
    missing: list[str]
    truncated: list[str]
    seconds: float


def class_lists(rng: np.random.Generator, labels: np.ndarray, classes: int, limit: int) -> np.ndarray:
    """Returns the classes that a step compares with: all, or the batch's and random others up to ``limit``.

    Source: the authors' released code.
    """
    if classes <= limit:
        return np.arange(classes)
    present = np.unique(labels)
    others = np.setdiff1d(np.arange(classes), present)
    extra = rng.choice(others, max(limit - len(present), 0), replace=False)
    return np.sort(np.concatenate([present, extra]))


def batches(rng: np.random.Generator, videos: int, batch: int) -> Iterator[np.ndarray]:
    """Yields (B,) video indices for ever: every video once in a shuffled pass, then the next pass."""
    waiting = np.empty(0, dtype=np.int64)
    while True:
        while len(waiting) < batch:
            waiting = np.concatenate([waiting, rng.permutation(videos)])
        yield waiting[:batch]
        waiting = waiting[batch:]


def train(settings: TrainSettings, run: Path) -> Summary:
    """Trains an adapter and writes it into the run's folder.

    Raises:
        FeatxError: If store, manifest and CLIP do not belong together.
    """
    if (run / ADAPTER_FILE).exists():
        raise FeatxError(f"{run}: holds a finished run; choose another --to or delete it")
    if len(settings.strides) != len(settings.stride_weights):
        raise FeatxError("strides and stride_weights must have the same length")
    device = choose_device(settings.device)
    store = FeatureStore(settings.store)
    manifest = read_manifest(settings.manifest)
    videos = load_labelled(store, manifest, settings.train_split)
    loaded = load_clip_of(store, settings.model)
    texts = list(manifest.header.classes.values())
    config = AdapterConfig(**{name: getattr(settings, name) for name in AdapterConfig.model_fields})

    torch.manual_seed(settings.seed)
    adapter = Adapter(config, loaded.text_width, loaded.width).to(device)
    plan = adapter.plan(texts).to(device)
    tower = TextTower(loaded.model.to(device))
    run.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    if adapter.parameter_count():
        with RunLog(run) as log:
            _learn(settings, adapter, tower, plan, videos, device, log)
    header = AdapterHeader(
        config=config,
        fingerprint=store.header.fingerprint,
        model_source=loaded.source,
        classes=manifest.header.classes,
        settings=settings.model_dump(mode="json"),
    )
    save_adapter(run / ADAPTER_FILE, adapter, header)
    return Summary(
        adapter=run / ADAPTER_FILE,
        parameters=adapter.parameter_count(),
        videos=len(videos.ids),
        missing=videos.missing,
        truncated=[texts[index] for index in plan.truncated],
        seconds=time.monotonic() - began,
    )


def _learn(settings, adapter, tower, plan, videos: LabelledVideos, device, log: RunLog) -> None:
    rng = np.random.default_rng(settings.seed)
    optimiser = torch.optim.AdamW(adapter.parameters(), lr=settings.rate, weight_decay=settings.weight_decay)
    order = batches(rng, len(videos.ids), settings.batch)
    fixed_texts = None
    for step in range(1, settings.steps + 1):
        batch = next(order)
        rows = draw_clips(
            rng, videos.rows[batch], settings.clip_frames, settings.strides, settings.stride_weights
        )
        clips = videos.gather(batch, rows).to(device)  # (B, T, D)
        labels = videos.labels[batch]
        classes = class_lists(rng, labels, len(plan.eot), settings.class_limit)
        if adapter.prompt_table is None:
            if fixed_texts is None:  # plain texts never change
                with torch.no_grad():
                    fixed_texts = adapter.encode_texts(tower, plan)
            text = fixed_texts[torch.from_numpy(classes).to(device)]
        else:
            text = adapter.encode_texts(tower, plan.choose(classes))  # (C, D)
        logits = adapter.encode_clips(clips) @ text.T / TEMPERATURE  # (B, C)
        targets = torch.from_numpy(np.searchsorted(classes, labels)).to(device)
        loss = functional.cross_entropy(logits, targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % settings.log_every == 0 or step in (1, settings.steps):
            if not torch.isfinite(loss):
                raise FeatxError(f"step {step}: the loss is {loss.item()}; lower --rate")
            right = (logits.argmax(dim=1) == targets).float().mean()
            log.write(step, loss=loss.item(), accuracy=right.item(), rate=settings.rate)
