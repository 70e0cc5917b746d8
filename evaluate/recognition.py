"""Scoring a recognition adapter: clips of each video against the texts of all classes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from featx.clip.text import TextTower
from featx.dataset import check_fingerprint, list_labelled, load_clip_of
from featx.devices import choose_device
from featx.errors import FeatxError
from featx.evaluate.settings import EvalSettings
from featx.evaluate.text_cache import cached_text, text_key
from featx.manifest import read_manifest
from featx.metrics.recognition import mean_class_accuracy, top_k
from featx.model.adapter import ADAPTER_FILE, AdapterHeader, load_adapter, read_header
from featx.model.scoring import score_videos
from featx.results import Results, Videos
from featx.sources import open_source
from featx.store.reader import FeatureStore


def evaluate(run: Path, settings: EvalSettings) -> Results:
    """Scores one run.

    Args:
        run: The folder that `featx train` made.
        settings: On what.

    Returns:
        The metrics, and how many videos they are about.

    Raises:
        FeatxError: If the adapter does not belong to the store, or store and manifest do not belong together.
    """
    header = read_header(run / ADAPTER_FILE)
    store_path = settings.store or _trained_with(header, "store", run)
    manifest_path = settings.manifest or _trained_with(header, "manifest", run)
    store, manifest = FeatureStore(store_path), read_manifest(manifest_path)
    check_fingerprint(header.fingerprint, store, run / ADAPTER_FILE)
    videos = list_labelled(store, manifest, settings.split)
    device = choose_device(settings.device)
    adapter = load_adapter(run / ADAPTER_FILE)[0].eval().to(device)
    texts = list(manifest.header.classes.values())
    if settings.model:
        load_clip_of(store, settings.model)  # a wrong --model is an error, whatever is cached

    def encode() -> Tensor:
        tower = TextTower(load_clip_of(store, settings.model).model.to(device))
        with torch.no_grad():
            return adapter.encode_texts(tower, adapter.plan(texts).to(device))

    key = text_key(run / ADAPTER_FILE, texts, header.fingerprint.weights_sha256)
    text = cached_text(run, key, encode).to(device)  # (C, D)
    scores = score_videos(
        adapter,
        text,
        open_source(store, videos.ids, videos.rows, device, budget_gib=None),
        np.arange(len(videos)),
        videos.rows,
        settings.clips,
        header.settings["strides"],
        header.settings["stride_weights"],
        settings.batch,
    )
    return Results(
        task=header.config.task,
        run=str(run),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        data_set=manifest.header.name,
        manifest=str(manifest_path),
        store=str(store_path),
        split=settings.split,
        clips=settings.clips,
        config=header.config.model_dump(),
        classes=len(texts),
        classes_as_trained=manifest.header.classes == header.classes,
        learned_parameters=adapter.parameter_count(),
        fingerprint=header.fingerprint.model_dump(),
        videos=Videos(scored=len(videos), missing=videos.missing),
        metrics={
            "top1": top_k(scores, videos.labels, 1),
            "top5": top_k(scores, videos.labels, 5),
            "mean_class": mean_class_accuracy(scores, videos.labels),
        },
    )


def _trained_with(header: AdapterHeader, name: str, run: Path) -> Path:
    if name not in header.settings:
        raise FeatxError(
            f"{run}: does not say which {name} it was trained with; say which to use with --{name}"
        )
    path = Path(header.settings[name])
    if not path.exists():
        raise FeatxError(
            f"{run}: was trained with {name} {path}, which is not there (relative paths count from the current "
            f"folder); say where it is with --{name}"
        )
    return path
